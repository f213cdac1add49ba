/** Views read: rows of any strided view into f32, the file being read front to back in windows. */
import { elementsOf, widen } from './numbers.ts';
import { cut, ELEMENT_BYTES, isDense, sizeOf, type View } from './view.ts';

/** Bytes read at once where elements lie close together. */
const WINDOW = 1 << 22;
/** Rows with more bytes than these between them are read one by one. */
const NEAR = 1 << 15;

/** All elements of a view, in row-major order of the view. */
export async function readView(view: View): Promise<Float32Array> {
  const values = new Float32Array(sizeOf(view.shape));
  await readInto(view, values);
  return values;
}

/** The same into `values`, which has a place for each element. */
export async function readInto(view: View, values: Float32Array): Promise<void> {
  if (values.length === 0) return;
  if (isDense(view)) return readDense(view, values);
  await gather(view, values);
}

async function readDense({ file, begin, dtype }: View, values: Float32Array): Promise<void> {
  if (dtype === 'F32') return file.read(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), begin);
  const size = ELEMENT_BYTES[dtype];
  const step = WINDOW / size;
  const window = new Uint8Array(Math.min(WINDOW, values.length * size));
  for (let at = 0; at < values.length; at += step) {
    const count = Math.min(step, values.length - at);
    const bytes = window.subarray(0, count * size);
    await file.read(bytes, begin + at * size);
    widen(elementsOf(bytes, dtype), dtype, values, { start: 0, at, ...ONE_ROW, count, stride: 1, step: 1 });
  }
}

const ONE_ROW = { rows: 1, rowStride: 0, rowStep: 0 } as const;

/** A dimension: its length, and how far its elements are apart in the file and in the result. */
interface Dim {
  readonly size: number;
  readonly from: number;
  readonly to: number;
}
const SINGLE: Dim = { size: 1, from: 1, to: 1 };

/** Walks the view in the order of the file: dimensions by descending stride, the last two as blocks of rows that one window holds. */
async function gather(view: View, values: Float32Array): Promise<void> {
  const dims = view.shape
    .map((size, i): Dim => ({ size, from: view.strides[i]!, to: sizeOf(view.shape.slice(i + 1)) }))
    .filter((d) => d.size > 1)
    .sort((a, b) => b.from - a.from);
  const inner = dims.pop() ?? SINGLE;
  const outer = dims.pop() ?? SINGLE;
  const held = WINDOW / ELEMENT_BYTES[view.dtype];
  const most = Math.max(1, Math.min(inner.size, Math.floor(held / Math.max(1, inner.from)))); // elements of a row in a window
  const span = (most - 1) * inner.from + 1;
  const near = (outer.from - span) * ELEMENT_BYTES[view.dtype] <= NEAR;
  const together = near && most === inner.size ? Math.max(1, Math.floor((held - span) / Math.max(1, outer.from)) + 1) : 1;
  const window = openWindow(view, near);
  const index = dims.map(() => 0);
  for (let more = true; more; more = advance(index, dims)) {
    const from = dims.reduce((n, d, i) => n + d.from * index[i]!, 0);
    const to = dims.reduce((n, d, i) => n + d.to * index[i]!, 0);
    for (let r = 0; r < outer.size; r += together)
      for (let i = 0; i < inner.size; i += most) {
        const [rows, count] = [Math.min(together, outer.size - r), Math.min(most, inner.size - i)];
        const first = from + r * outer.from + i * inner.from;
        const pending = window.hold(first, (rows - 1) * outer.from + (count - 1) * inner.from + 1);
        if (pending) await pending; // most rows lie in the window that is there: no turn of the event loop for those
        widen(window.elements(), view.dtype, values, {
          start: first - window.first(),
          at: to + r * outer.to + i * inner.to,
          rows,
          rowStride: outer.from,
          rowStep: outer.to,
          count,
          stride: inner.from,
          step: inner.to,
        });
      }
  }
}

function advance(index: number[], dims: readonly { readonly size: number }[]): boolean {
  for (let i = dims.length - 1; i >= 0; i--) {
    if (++index[i]! < dims[i]!.size) return true;
    index[i] = 0;
  }
  return false;
}

/** A window over the elements of a view; `ahead`: what follows will be asked for soon. */
function openWindow(view: View, ahead: boolean) {
  const size = ELEMENT_BYTES[view.dtype];
  const last = view.shape.reduce((n, d, i) => n + (d - 1) * view.strides[i]!, 0);
  const buffer = new Uint8Array(Math.min(Math.max(WINDOW, size), (last + 1) * size));
  let [first, end] = [0, 0];
  let elements = elementsOf(buffer.subarray(0, 0), view.dtype);
  return {
    /** Makes the window hold these elements; undefined where it does so already. */
    hold(from: number, span: number): Promise<void> | undefined {
      if (from >= first && from + span <= end) return undefined;
      first = from;
      end = Math.min(last + 1, from + (ahead ? Math.floor(buffer.length / size) : span));
      const bytes = buffer.subarray(0, (end - first) * size);
      elements = elementsOf(bytes, view.dtype);
      return view.file.read(bytes, view.begin + first * size);
    },
    first: () => first,
    elements: () => elements,
  };
}

/** A part of a tensor whose elements follow each other in row-major order. */
export interface Box {
  /** Index of its first element in the whole. */
  readonly at: number;
  readonly from: readonly number[];
  readonly shape: readonly number[];
}

/** Cuts a shape into boxes of about `most` elements, in row-major order; where dimension d is cut, at multiples of `grain[d]` (1 unless said). */
export function* boxesOf(shape: readonly number[], most: number, grain: readonly number[] = []): Generator<Box> {
  if (!shape.includes(0)) yield* cutAlong({ at: 0, from: shape.map(() => 0), shape }, { dim: 0, most, grain });
}

function* cutAlong(box: Box, { dim, most, grain }: { dim: number; most: number; grain: readonly number[] }): Generator<Box> {
  const length = box.shape[dim];
  if (sizeOf(box.shape) <= most || length === undefined) return yield box;
  const inner = sizeOf(box.shape.slice(dim + 1));
  const unit = grain[dim] ?? 1;
  const step = Math.max(unit, Math.floor(most / inner / unit) * unit);
  for (let i = 0; i < length; i += step) {
    const size = Math.min(step, length - i);
    const part = { at: box.at + i * inner, from: box.from.with(dim, i), shape: box.shape.with(dim, size) };
    if (size === 1) yield* cutAlong(part, { dim: dim + 1, most, grain });
    else yield part;
  }
}

/** The part of a view in a box. */
export const cutTo = (view: View, { from, shape }: Pick<Box, 'from' | 'shape'>): View =>
  shape.reduce((v, size, dim) => (size === v.shape[dim] ? v : cut(v, dim, { from: from[dim]!, size })), view);
