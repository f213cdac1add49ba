/** Where the values of a tensor to be written come from, box by box. */
import { type Box, boxesOf } from './read-view.ts';
import { boxesIn, readBox, type Stored } from './stored.ts';
import { isDense, sizeOf } from './view.ts';

export interface TensorSource {
  readonly shape: readonly number[];
  /** Stored row by row of its first axis: a box must lie in one. */
  readonly byRows: boolean;
  /** Elements of a box that is read well. */
  readonly most: number;
  /** In row-major order, of about `most` elements; where dimension d is cut, at multiples of `grain[d]`. */
  boxes(grain: readonly number[], most?: number): Iterable<Box>;
  /** The values of such a box, into `values`, which has a place for each. */
  read(box: Box, values: Float32Array): Promise<void>;
}

export interface NamedSource {
  readonly name: string;
  readonly source: TensorSource;
}

/** Elements of a box: 16 MiB of f32. */
const BOX = 1 << 22;
/** Where a view is turned, each box costs a pass over its part of the file: 256 MiB of f32 then. */
const TURNED_BOX = 1 << 26;

const boxOf = ({ view }: Stored): number => (isDense(view) ? BOX : TURNED_BOX);

/** One stored tensor. */
export const storedSource = (stored: Stored): TensorSource => ({
  shape: stored.view.shape,
  byRows: false,
  most: boxOf(stored),
  boxes: (grain, most = boxOf(stored)) => boxesIn(stored, most, grain),
  read: (box, values) => readBox(stored, box, values),
});

/** Stored tensors of one shape, one for each index of a new first axis. */
export function stackedSource(rows: readonly Stored[]): TensorSource {
  const shape = rows[0]!.view.shape;
  const each = sizeOf(shape);
  return {
    shape: [rows.length, ...shape],
    byRows: true,
    most: boxOf(rows[0]!),
    *boxes(grain, most = boxOf(rows[0]!)) {
      for (const [i, stored] of rows.entries())
        for (const { at, from, shape: size } of boxesIn(stored, most, grain.slice(1)))
          yield { at: i * each + at, from: [i, ...from], shape: [1, ...size] };
    },
    read: ({ from, shape: size }, values) => readBox(rows[from[0]!]!, { at: 0, from: from.slice(1), shape: size.slice(1) }, values),
  };
}

/** Values that are a function of their index in row-major order. */
export const computedSource = (shape: readonly number[], fill: (at: number, values: Float32Array) => void): TensorSource => ({
  shape,
  byRows: false,
  most: BOX,
  boxes: (grain, most = BOX) => boxesOf(shape, most, grain),
  read: (box, values) => Promise.resolve(fill(box.at, values)),
});
