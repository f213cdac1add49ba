/** Outside numbers under test/goldens, the executors that must reproduce them, and distances between the two. */
import { cpuIsas, type Executor, openCpu, openRef, openWasm, wasmIsas } from '../src/exec/index.ts';
import { type Numbers, withIsa } from './support.ts';

export const GOLDENS = new URL('goldens', import.meta.url).pathname;

/** Largest |a − b|; infinite where lengths differ or a number is NaN. */
export function farthest(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs(a[i]! - b[i]!);
    worst = d <= worst ? worst : Number.isNaN(d) ? Infinity : d;
  }
  return worst;
}

/** The reference executor, and the machine in the addon and in WebAssembly where they are built. */
export function executors(): [name: string, executor: Executor][] {
  const [cpu, wasm] = [cpuIsas().length > 0, wasmIsas().length > 0];
  if (!cpu) console.log('skipped on cpu: the addon is not built');
  if (!wasm) console.log('skipped on wasm: npm run build makes its module');
  return [
    ['ref', openRef()],
    ...(cpu ? [['cpu', openCpu({ threads: 2 })] as [string, Executor]] : []),
    ...(wasm ? [['wasm', withIsa(wasmIsas()[0]!, () => openWasm({ threads: 2 }))] as [string, Executor]] : []),
  ];
}

/** Raw probabilities of the choices that were kept, 0 for the others. */
export const combineWeights = ({ gates, kept }: Readonly<Record<string, Numbers>>): number[] => Array.from(kept!, (k, i) => k * gates![i]!);
