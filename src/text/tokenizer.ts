/** What every tokenizer can do: text ↔ ids. */

export interface Tokenizer {
  readonly vocabSize: number;
  /** What the model reads before the first token: `<s>`, or `<pad>` where there is none. */
  readonly bos: number | undefined;
  /** `</s>`: ends a document. */
  readonly eos: number | undefined;
  /** What the tokenizer's own convention puts around a text. */
  readonly template: Template;
  /**
   * Ids of a text, no template around. Lone surrogates become U+FFFD. Of a tokenizer trained here, and of a SentencePiece model, the
   * characters `</s>` are only characters; in a text for any other tokenizer.json they are its special token, as for `tokenizers`.
   */
  encode(text: string): number[];
  encodeWithOffsets(text: string): Encoding;
  /** Text of ids; specials are skipped, ill-formed bytes become U+FFFD. */
  decode(ids: Iterable<number>): string;
  /** A piece for the eye: `␣` for a space, `\n`, `\xE4` for bytes that are no whole character. */
  pieceOf(id: number): string;
  /** Bytes that an id stands for; none for specials and for ids outside the vocabulary. */
  bytesOf(id: number): Uint8Array;
  streamDecoder(): StreamDecoder;
  /** Hugging Face's tokenizer.json, as the official `tokenizers` reads it. */
  toJSON(): object;
}

export interface Template {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

export interface Encoding {
  readonly ids: number[];
  /** Of each id, the first code point of the text that it stands for, and the one after the last. */
  readonly offsets: (readonly [start: number, end: number])[];
}

/** Decodes ids as they come, whole characters only. */
export interface StreamDecoder {
  push(id: number): string;
  /** U+FFFD when a character was left unfinished. */
  flush(): string;
}
