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
  let at = 0;
  for (const list of encoded) for (const id of list) ids[at++] = id;
  const answer: EncodeAnswer = { ids, counts: Int32Array.from(encoded, (list) => list.length) };
  parentPort!.postMessage(answer, [ids.buffer, answer.counts.buffer]);
});
