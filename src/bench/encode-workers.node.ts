/** Texts encoded by several workers: the same ids in the same order as on one thread. */
import { Worker } from 'node:worker_threads';
import type { EncodeAnswer, EncodeRequest } from './encode-worker.node.ts';

export interface Encoders {
  /** Ids of each text. */
  encode(texts: readonly string[]): Promise<readonly Int32Array[]>;
  close(): Promise<void>;
}

/** Texts go out in packets of so many characters, so that the workers end together. */
const PACKET = 50_000;
/** Packets that a worker has at a time: it need not wait for this thread. */
const AHEAD = 2;

/** `tokenizer`: its file. */
export function encodeWorkers(tokenizer: Uint8Array, count: number): Encoders {
  const workers = Array.from({ length: count }, () => started(tokenizer));
  return {
    async encode(texts) {
      const packets = cut(texts);
      const answers: EncodeAnswer[] = [];
      let next = 0;
      const take = (): number | undefined => (next < packets.length ? next++ : undefined);
      await Promise.all(workers.map((worker) => serve(worker, { texts, packets, answers, take })));
      return answers.flatMap(unpacked);
    },
    close: async () => void (await Promise.all(workers.map((worker) => worker.terminate()))),
  };
}

interface Work {
  readonly texts: readonly string[];
  /** From which text on, and to which. */
  readonly packets: readonly (readonly [number, number])[];
  /** Filled in, each in the place of its packet. */
  readonly answers: EncodeAnswer[];
  /** Index of a packet that nobody has. */
  take(): number | undefined;
}

/** Until no packet is left, and all that this worker has are answered. */
function serve(worker: Worker, { texts, packets, answers, take }: Work): Promise<void> {
  return new Promise((resolve, reject) => {
    const mine: number[] = [];
    const post = (): void => {
      const index = take();
      if (index === undefined) return;
      mine.push(index);
      const request = written(texts.slice(...packets[index]!));
      worker.postMessage(request, [request.bytes.buffer]);
    };
    const end = (): void => {
      worker.off('message', receive);
      worker.off('error', reject);
      resolve();
    };
    const receive = (answer: EncodeAnswer): void => {
      answers[mine.shift()!] = answer;
      post();
      if (mine.length === 0) end();
    };
    worker.on('message', receive);
    worker.on('error', reject);
    for (let i = 0; i < AHEAD; i++) post();
    if (mine.length === 0) end();
  });
}

/** From its compiled file, or, where this code runs from its source, through the loader of tests and tools. */
function started(tokenizer: Uint8Array): Worker {
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL('./encode-worker.node.js', import.meta.url), { workerData: tokenizer });
  const { href } = new URL('./encode-worker.node.ts', import.meta.url);
  const load = `import('tsx/esm/api').then(({ register }) => (register(), import(${JSON.stringify(href)})))`;
  return new Worker(load, { eval: true, workerData: tokenizer });
}

function cut(texts: readonly string[]): [number, number][] {
  const packets: [number, number][] = [];
  for (let from = 0, to = 0; from < texts.length; from = to) {
    for (let size = 0; to < texts.length && size < PACKET; to++) size += texts[to]!.length;
    packets.push([from, to]);
  }
  return packets;
}

const encoder = new TextEncoder();
/** Bytes of UTF-8 that a UTF-16 unit takes at most. */
const WIDEST = 3;

/** Lone surrogates become U+FFFD, as which tokenizers read them. */
function written(texts: readonly string[]): EncodeRequest {
  const bytes = new Uint8Array(WIDEST * texts.reduce((n, text) => n + text.length, 0));
  let at = 0;
  const lengths = Int32Array.from(texts, (text) => {
    const { written: count } = encoder.encodeInto(text, bytes.subarray(at));
    at += count;
    return count;
  });
  return { bytes, lengths };
}

function unpacked({ ids, counts }: EncodeAnswer): Int32Array[] {
  let at = 0;
  return Array.from(counts, (n) => ids.subarray(at, (at += n)));
}
