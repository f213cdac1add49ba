/** Stored tensors: a view of elements, or of signed bytes with a scale for each group of 32, read as f32. */
import { type Box, boxesOf, cutTo, readInto } from './read-view.ts';
import { permute, row, sizeOf, type View } from './view.ts';

/** Elements of the group axis that share a scale. */
export const GROUP = 32;
/** Where the scales of a tensor of bytes stand. */
export const scalesName = (name: string): string => `${name}.scales`;

export interface Stored {
  readonly view: View;
  /** Of bytes: shaped as `view`, but one axis has a place for each 32 elements. */
  readonly scales?: View;
}

/** The axis along which elements share scales; -1 where each has its own. */
const groupAxis = ({ view, scales }: Stored): number => (scales ? view.shape.findIndex((d, i) => d !== scales.shape[i]) : -1);

/** Whether `scales` has the form that scales of `shape` have. */
export const fitScales = (shape: readonly number[], scales: readonly number[]): boolean =>
  shape.length === scales.length &&
  shape.filter((d, i) => d !== scales[i]).length <= 1 &&
  shape.every((d, i) => scales[i] === d || scales[i] === Math.ceil(d / GROUP));

export const turned = (stored: Stored, order: readonly number[]): Stored => both(stored, (view) => permute(view, order));
export const rowOf = (stored: Stored, index: number): Stored => both(stored, (view) => row(view, index));
const both = ({ view, scales }: Stored, change: (view: View) => View): Stored => ({
  view: change(view),
  ...(scales && { scales: change(scales) }),
});

/** Boxes of about so many elements which `readBox` can read; where dimension d is cut, at multiples of `grain[d]` too. */
export const boxesIn = (stored: Stored, most: number, grain: readonly number[] = []): Generator<Box> =>
  boxesOf(
    stored.view.shape,
    most,
    stored.view.shape.map((_, i) => Math.max(grain[i] ?? 1, i === groupAxis(stored) ? GROUP : 1)),
  );

/** The elements of a box in row-major order, into `values`. */
export async function readBox(stored: Stored, box: Box, values: Float32Array): Promise<void> {
  await readInto(cutTo(stored.view, box), values);
  if (!stored.scales) return;
  const axis = groupAxis(stored);
  const grouped = (list: readonly number[], round: (n: number) => number): number[] =>
    list.map((n, i) => (i === axis ? round(n / GROUP) : n));
  const part = { from: grouped(box.from, Math.floor), shape: grouped(box.shape, Math.ceil) };
  const scales = new Float32Array(sizeOf(part.shape));
  await readInto(cutTo(stored.scales, part), scales);
  multiply(values, scales, { shape: box.shape, axis });
}

function multiply(values: Float32Array, scales: Float32Array, { shape, axis }: { shape: readonly number[]; axis: number }): void {
  if (axis < 0) return values.forEach((v, i) => (values[i] = v * scales[i]!));
  const [length, inner] = [shape[axis]!, sizeOf(shape.slice(axis + 1))];
  const groups = Math.ceil(length / GROUP);
  const outer = values.length / length / inner;
  if (inner === 1) return multiplyRows(values, scales, length);
  for (let o = 0; o < outer; o++)
    for (let k = 0; k < length; k++) {
      const to = (o * length + k) * inner;
      const from = (o * groups + Math.floor(k / GROUP)) * inner;
      for (let i = 0; i < inner; i++) values[to + i]! *= scales[from + i]!;
    }
}

/** Groups along the last axis, rows of `length`: one scale for 32 neighbours. */
function multiplyRows(values: Float32Array, scales: Float32Array, length: number): void {
  for (let at = 0, group = 0; at < values.length;) {
    for (const end = at + length; at < end; group++) {
      const scale = scales[group]!;
      for (const last = Math.min(at + GROUP, end); at < last; at++) values[at]! *= scale;
    }
  }
}

/** Elements that are worked on at once. Where a view is turned, a box needs a pass over its file: then larger ones. */
const BOX = 1 << 22;

/** All elements, in row-major order, into `values`. */
export async function readStored(stored: Stored, values: Float32Array): Promise<void> {
  if (!stored.scales) return readInto(stored.view, values);
  for (const box of boxesIn(stored, BOX)) await readBox(stored, box, values.subarray(box.at, box.at + sizeOf(box.shape)));
}
