/** Worker that encodes texts with a tokenizer of its own. */
import { parentPort, workerData } from 'node:worker_threads';
import { loadTokenizer } from '../text/index.ts';

/** A share of the texts; answered by their ids, one text after the other, and how many each has. */
export interface EncodeAnswer {
  readonly ids: Int32Array<ArrayBuffer>;
  readonly counts: Int32Array<ArrayBuffer>;
}

const tokenizer = loadTokenizer(workerData as Uint8Array);
parentPort!.on('message', (texts: readonly string[]) => {
  const encoded = texts.map((text) => tokenizer.encode(text));
  const ids = new Int32Array(encoded.reduce((n, list) => n + list.length, 0));
  encoded.reduce((at, list) => (ids.set(list, at), at + list.length), 0);
  const answer: EncodeAnswer = { ids, counts: Int32Array.from(encoded, (list) => list.length) };
  parentPort!.postMessage(answer, [ids.buffer, answer.counts.buffer]);
});
