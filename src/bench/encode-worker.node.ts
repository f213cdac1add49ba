/** Worker that encodes texts with a tokenizer of its own. */
import { parentPort, workerData } from 'node:worker_threads';
import { loadTokenizer } from '../text/index.ts';

/** A share of the texts, one after the other, and how many UTF-16 units each has: one string is copied faster than many. */
export interface EncodeRequest {
  readonly text: string;
  readonly lengths: Int32Array;
}

/** Their ids, one text after the other, and how many each has. */
export interface EncodeAnswer {
  readonly ids: Int32Array<ArrayBuffer>;
  readonly counts: Int32Array<ArrayBuffer>;
}

const tokenizer = loadTokenizer(workerData as Uint8Array);
parentPort!.on('message', ({ text, lengths }: EncodeRequest) => {
  let from = 0;
  const encoded = Array.from(lengths, (length) => tokenizer.encode(text.slice(from, (from += length))));
  const ids = new Int32Array(encoded.reduce((n, list) => n + list.length, 0));
  let at = 0;
  for (const list of encoded) for (const id of list) ids[at++] = id;
  const answer: EncodeAnswer = { ids, counts: Int32Array.from(encoded, (list) => list.length) };
  parentPort!.postMessage(answer, [ids.buffer, answer.counts.buffer]);
});
