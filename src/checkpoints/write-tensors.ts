/** Tensors written box by box into safetensors shards with their index, whatever their values come from. */
import { EXIT, layout, type SafeDType, type SafeTensor, type SafeTensorSpec, UserError } from '../base/index.ts';
import { isZero, narrow, WRITTEN } from './numbers.ts';
import { quantize } from './quantize.ts';
import type { Box } from './read-view.ts';
import type { TensorSource } from './source.ts';
import { GROUP, scalesName } from './stored.ts';
import { denseStrides, sizeOf } from './view.ts';

/** A file being written; bytes that nobody writes are zeros, and take no room where the disk can leave holes. */
export interface OutFile {
  write(bytes: Uint8Array, at: number): Promise<void>;
  close(): Promise<void>;
}
/** A folder that comes to be when all of it is written, or not at all. */
export interface OutFolder {
  create(name: string, size: number): Promise<OutFile>;
  writeWhole(name: string, bytes: Uint8Array): Promise<void>;
}

export const OUT_TYPES = ['f32', 'f16', 'bf16', 'int8'] as const;
export type OutType = (typeof OUT_TYPES)[number];

/** A tensor to be written. */
export interface OutTensor {
  readonly name: string;
  readonly source: TensorSource;
  /** With int8: the axis along which 32 elements share a scale; undefined: it stays f32. */
  readonly groupAxis: number | undefined;
}

export interface Written {
  readonly shards: readonly string[];
  /** Bytes of all tensors. */
  readonly bytes: number;
  readonly tensors: number;
  /** Finite values that the element type cannot hold, by tensor. */
  readonly overflowed: ReadonlyMap<string, number>;
}

export interface Watching {
  readonly signal: AbortSignal;
  /** Bytes written of all, in the midst of this tensor. */
  onProgress(done: number, all: number, tensor: string): void;
  /** The values of a box before they are rounded: for those who check what is written. */
  onValues?(tensor: string, values: Float32Array): void;
}

/** Shards of Hugging Face's own writer are as large. */
export const SHARD_BYTES = 5e9;

export interface Writing {
  readonly type: OutType;
  /** Bytes of a shard at most; a tensor that is larger has one of its own. */
  readonly shardBytes: number;
  readonly watching: Watching;
}

/** Writes all tensors. Throws UserError E_NOT_FINITE (damaged) where int8 is asked of values that are not finite; what `signal` says. */
export async function writeTensors(out: OutFolder, tensors: readonly OutTensor[], writing: Writing): Promise<Written> {
  const { type, shardBytes, watching } = writing;
  const planned = tensors.map((tensor) => ({ tensor, specs: specsOf(tensor, type) }));
  const shards = cutShards(planned, shardBytes);
  const all = shards.flat().reduce((n, { specs }) => n + bytesOf(specs), 0);
  const progress = { done: 0, all, overflowed: new Map<string, number>() };
  const names = shards.map((_, i) => shardName(i, shards.length));
  for (const [i, shard] of shards.entries()) await writeShard(out, names[i]!, { shard, type, watching, progress });
  if (names.length > 1) await out.writeWhole('model.safetensors.index.json', indexBytes(shards, names, all));
  return {
    shards: names,
    bytes: all,
    tensors: shards.flat().reduce((n, { specs }) => n + specs.length, 0),
    overflowed: progress.overflowed,
  };
}

interface Planned {
  readonly tensor: OutTensor;
  /** The tensor's own, then its scales. */
  readonly specs: readonly SafeTensorSpec[];
}

function specsOf({ name, source: { shape }, groupAxis }: OutTensor, type: OutType): readonly SafeTensorSpec[] {
  if (type !== 'int8') return [{ name, dtype: WRITTEN[type], shape }];
  if (groupAxis === undefined) return [{ name, dtype: 'F32', shape }];
  return [
    { name, dtype: 'I8', shape },
    { name: scalesName(name), dtype: 'BF16', shape: shape.with(groupAxis, Math.ceil(shape[groupAxis]! / GROUP)) },
  ];
}

const SIZES: Partial<Record<SafeDType, number>> = { F32: 4, F16: 2, BF16: 2, I8: 1 };
const bytesOf = (specs: readonly SafeTensorSpec[]): number => specs.reduce((n, { dtype, shape }) => n + SIZES[dtype]! * sizeOf(shape), 0);

/** In order, each as full as it can be. */
function cutShards(planned: readonly Planned[], most: number): readonly (readonly Planned[])[] {
  const shards: Planned[][] = [[]];
  let bytes = 0;
  for (const plan of planned) {
    const size = bytesOf(plan.specs);
    if (bytes > 0 && bytes + size > most) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(plan);
    bytes += size;
  }
  return shards;
}

const five = (n: number): string => String(n).padStart(5, '0');
const shardName = (i: number, of: number): string => (of === 1 ? 'model.safetensors' : `model-${five(i + 1)}-of-${five(of)}.safetensors`);

function indexBytes(shards: readonly (readonly Planned[])[], names: readonly string[], all: number): Uint8Array {
  const map = shards.flatMap((shard, i) => shard.flatMap(({ specs }) => specs.map((s) => [s.name, names[i]!] as const)));
  const sorted = Object.fromEntries(map.sort(([a], [b]) => (a < b ? -1 : 1)));
  return new TextEncoder().encode(`${JSON.stringify({ metadata: { total_size: all }, weight_map: sorted }, null, 2)}\n`);
}

interface Progress {
  done: number;
  readonly all: number;
  readonly overflowed: Map<string, number>;
}

interface Shard {
  readonly shard: readonly Planned[];
  readonly type: OutType;
  readonly watching: Watching;
  readonly progress: Progress;
}

async function writeShard(out: OutFolder, name: string, { shard, type, watching, progress }: Shard): Promise<void> {
  const plan = layout(
    shard.flatMap(({ specs }) => specs),
    { format: 'pt' },
  );
  const places = new Map(plan.tensors.map((t) => [t.name, t]));
  const file = await out.create(name, plan.fileSize);
  try {
    await file.write(plan.header, 0);
    for (const { tensor, specs } of shard) {
      const before = progress.done;
      const grain = tensor.source.shape.map((_, i) => (type === 'int8' && i === tensor.groupAxis ? GROUP : 1));
      for (const box of tensor.source.boxes(grain)) {
        watching.signal.throwIfAborted();
        await writeBox(file, box, { tensor, type, places, watching, overflowed: progress.overflowed });
        progress.done = before + Math.round(bytesOf(specs) * ((box.at + sizeOf(box.shape)) / sizeOf(tensor.source.shape)));
        watching.onProgress(progress.done, progress.all, tensor.name);
      }
      progress.done = before + bytesOf(specs);
    }
  } finally {
    await file.close();
  }
}

interface BoxWriting {
  readonly tensor: OutTensor;
  readonly type: OutType;
  readonly places: ReadonlyMap<string, SafeTensor>;
  readonly watching: Watching;
  readonly overflowed: Map<string, number>;
}

/** Two buffers for all boxes: what is freed only when it is collected would pile up. */
let values = new Float32Array(0);
let halves = new Uint16Array(0);

async function writeBox(file: OutFile, box: Box, { tensor, type, places, watching, overflowed }: BoxWriting): Promise<void> {
  const size = sizeOf(box.shape);
  if (values.length < size) [values, halves] = [new Float32Array(size), new Uint16Array(size)];
  const part = values.subarray(0, size);
  await tensor.source.read(box, part);
  watching.onValues?.(tensor.name, part);
  if (isZero(part)) return;
  const { begin } = places.get(tensor.name)!;
  if (type === 'int8' && tensor.groupAxis !== undefined) return writeBytes(file, box, { tensor, axis: tensor.groupAxis, part, places });
  const written = type === 'int8' ? 'f32' : type;
  const { bytes, overflowed: lost } = narrow(part, written, halves);
  if (lost > 0) overflowed.set(tensor.name, (overflowed.get(tensor.name) ?? 0) + lost);
  await file.write(bytes, begin + box.at * (bytes.length / size));
}

async function writeBytes(
  file: OutFile,
  box: Box,
  { tensor, axis, part, places }: { tensor: OutTensor; axis: number; part: Float32Array; places: ReadonlyMap<string, SafeTensor> },
): Promise<void> {
  const quantized = quantize(part, box.shape, axis);
  if (!quantized)
    throw new UserError('E_NOT_FINITE', EXIT.damaged, {
      message: 'a weight is not a finite number: no scale fits it',
      place: tensor.name,
      hint: 'openmoe models verify finds them all',
    });
  const [bytes, scales] = [places.get(tensor.name)!, places.get(scalesName(tensor.name))!];
  await file.write(new Uint8Array(quantized.bytes.buffer), bytes.begin + box.at);
  const from = box.from.map((n, i) => (i === axis ? n / GROUP : n));
  const at = denseStrides(scales.shape).reduce((n, stride, i) => n + stride * from[i]!, 0);
  await file.write(new Uint8Array(quantized.scales.buffer), scales.begin + 2 * at);
}
