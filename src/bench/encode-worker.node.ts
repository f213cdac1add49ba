/** Worker that encodes texts with a tokenizer of its own. */
import { parentPort, workerData } from 'node:worker_threads';
import { loadTokenizer } from '../text/index.ts';

/** Some texts in UTF-8, one after the other, and how many bytes each has: memory is handed over, where strings would be copied twice. */
export interface EncodeRequest {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly lengths: Int32Array;
}

/** Their ids, one text after the other, and how many each has. */
export interface EncodeAnswer {
  readonly ids: Int32Array<ArrayBuffer>;
  readonly counts: Int32Array<ArrayBuffer>;
}

const tokenizer = loadTokenizer(workerData as Uint8Array);
/** Ids of one packet, before they are handed over; grows to what packets need. */
let room = new Int32Array(1 << 16);
parentPort!.on('message', ({ bytes, lengths }: EncodeRequest) => {
  const all = Buffer.from(bytes.buffer);
  let [from, at] = [0, 0];
  const counts = Int32Array.from(lengths, (length) => {
    const list = tokenizer.encode(all.toString('utf8', from, (from += length)));
    if (at + list.length > room.length) {
      const wider = new Int32Array(2 * (at + list.length));
      wider.set(room);
      room = wider;
    }
    for (const id of list) room[at++] = id;
    return list.length;
  });
  const answer: EncodeAnswer = { ids: room.slice(0, at), counts };
  parentPort!.postMessage(answer, [answer.ids.buffer, counts.buffer]);
});
