/** What a step reads.   B rows, S tokens a row; all arrays [B·S]. */
export interface Batch {
  /** Decoder inputs: targets shifted right, 0 at the start of each segment. */
  readonly tokens: Int32Array;
  readonly targets: Int32Array;
  /** 1, 2, … within a row: attention stays inside one segment; 0 is padding. */
  readonly segments: Int32Array;
  /** Loss weight of each target; 0 on padding. */
  readonly weights: Float32Array;
  /** Domain index of each token; on padding that of the token before. */
  readonly domains: Int32Array;
}
