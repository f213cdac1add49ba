/** Looking through all values of checkpoints: what is no number, and how far two of them are apart. */
import { isZero } from './numbers.ts';
import type { NamedSource } from './source.ts';
import { GROUP } from './stored.ts';
import { sizeOf } from './view.ts';

export interface Watch {
  readonly signal: AbortSignal;
  /** Elements seen of all, in the midst of this tensor. */
  onProgress(done: number, all: number, tensor: string): void;
}

export interface ValueFacts {
  readonly name: string;
  readonly elements: number;
  readonly nan: number;
  readonly infinite: number;
  /** The largest magnitude of those that are finite. */
  readonly largest: number;
}

/** Every tensor's facts, as they become known. */
export async function* examine(tensors: readonly NamedSource[], watch: Watch): AsyncGenerator<ValueFacts> {
  const progress = counter(tensors, watch);
  for (const { name, source } of tensors) {
    let [nan, infinite, largest] = [0, 0, 0];
    for (const box of source.boxes([])) {
      const [values] = progress.buffers(sizeOf(box.shape));
      await source.read(box, values!);
      for (const v of isZero(values!) ? [] : values!) {
        const size = Math.abs(v);
        if (size <= largest) continue; // most of them
        if (size < Infinity) largest = size;
        else if (size === Infinity) infinite++;
        else nan++;
      }
      progress.advance(name, values!.length);
    }
    yield { name, elements: sizeOf(source.shape), nan, infinite, largest };
  }
}

export interface TensorDifference {
  readonly name: string;
  readonly elements: number;
  /** Elements that are not equal. */
  readonly differ: number;
  /** Infinite where one is no finite number and the other is another. */
  readonly maxAbs: number;
  /** Of |a − b| ÷ max(|a|, |b|). */
  readonly maxRel: number;
}

/** Tensor by tensor; both lists must have the same names and shapes in the same order. */
export async function* differences(a: readonly NamedSource[], b: readonly NamedSource[], watch: Watch): AsyncGenerator<TensorDifference> {
  const progress = counter(a, watch);
  for (const [i, { name, source }] of a.entries()) {
    const other = b[i]!.source;
    const sum = { differ: 0, maxAbs: 0, maxRel: 0 };
    for (const box of commonBoxes(source, other)) {
      const [x, y] = progress.buffers(sizeOf(box.shape));
      await source.read(box, x!);
      await other.read(box, y!);
      compare(x!, y!, sum);
      progress.advance(name, x!.length);
    }
    yield { name, elements: sizeOf(source.shape), ...sum };
  }
}

/** Boxes that both can read: cut at rows where one is stored row by row, and at whole groups. */
function commonBoxes(a: NamedSource['source'], b: NamedSource['source']) {
  const most = Math.max(a.most, b.most);
  return (a.byRows ? a : b).boxes(
    a.shape.map(() => GROUP),
    most,
  );
}

function compare(x: Float32Array, y: Float32Array, sum: { differ: number; maxAbs: number; maxRel: number }): void {
  for (let i = 0; i < x.length; i++) {
    const [a, b] = [x[i]!, y[i]!];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    sum.differ++;
    const difference = Math.abs(a - b);
    const finite = difference < Infinity;
    sum.maxAbs = Math.max(sum.maxAbs, finite ? difference : Infinity);
    sum.maxRel = Math.max(sum.maxRel, finite ? difference / Math.max(Math.abs(a), Math.abs(b)) : Infinity);
  }
}

/** Progress over tensors, and two buffers that all boxes share. */
function counter(tensors: readonly NamedSource[], { signal, onProgress }: Watch) {
  const all = tensors.reduce((n, { source }) => n + sizeOf(source.shape), 0);
  let done = 0;
  let buffers = [new Float32Array(0), new Float32Array(0)];
  return {
    buffers(size: number): Float32Array[] {
      signal.throwIfAborted();
      if (buffers[0]!.length < size) buffers = [new Float32Array(size), new Float32Array(size)];
      return buffers.map((b) => b.subarray(0, size));
    },
    advance(name: string, elements: number): void {
      done += elements;
      onProgress(done, all, name);
    },
  };
}
