/** The reference executor with what the command line asks of an engine: facts, and measured limits of one JavaScript thread. */
import { bytesOf } from '../../compile/index.ts';
import { type MachineExecutor, numbersIn, readPart } from '../machine/index.ts';
import { openRef } from './index.ts';

export function openMeasuredRef(): MachineExecutor {
  const ref = openRef();
  return {
    ...ref,
    facts: { threads: 1, isas: ['ref'], isa: 'ref', bf16: false, vnni: false },
    load: async (program) => ({
      ...(await ref.load(program)),
      profile: () => [],
      record() {},
      timeline: () => ({ threads: 1, instructions: [], spans: [] }),
    }),
    map(path, begin, spec) {
      const bytes = new Uint8Array(bytesOf(spec));
      readPart(path, begin, bytes);
      return ref.put(numbersIn(spec, { buffer: bytes.buffer, offset: 0 }), spec);
    },
    peak: (seconds) => best(seconds, multiplyAdds),
    bandwidth: (seconds) => ({ read: best(seconds, reads), update: best(seconds, updates) }),
  };
}

/** The most billions that `work` does in a second: it returns how many it did. */
function best(seconds: number, work: () => number): number {
  let most = 0;
  for (const end = performance.now() + 1000 * seconds; most === 0 || performance.now() < end;) {
    const start = performance.now();
    most = Math.max(most, work() / (performance.now() - start) / 1e6);
  }
  return most;
}

const numbers = new Float32Array(1 << 22);
let sink = 0;

function multiplyAdds(): number {
  let [a, b, c, d] = [1, 2, 3, 4];
  const rounds = 1_000_000;
  for (let i = 0; i < rounds; i++) {
    a = a * 0.9999 + 0.0001;
    b = b * 0.9999 + 0.0001;
    c = c * 0.9999 + 0.0001;
    d = d * 0.9999 + 0.0001;
  }
  sink = a + b + c + d;
  return 8 * rounds;
}

function reads(): number {
  let sum = sink;
  for (let i = 0; i < numbers.length; i++) sum += numbers[i]!;
  sink = sum;
  return numbers.byteLength;
}

function updates(): number {
  for (let i = 0; i < numbers.length; i++) numbers[i]! += 1;
  return 2 * numbers.byteLength;
}
