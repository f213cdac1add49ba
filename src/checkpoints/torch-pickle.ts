/** The names that PyTorch's pickles may use, and the tensors that come of them: views of storages, checked against those. */
import type { StoredFile } from './storage.ts';
import { describe, isKind, type Pickled, Refusal, type Vocabulary } from './pickle.ts';
import { ELEMENT_BYTES, type ElementType, sizeOf, spanOf, type View } from './view.ts';

/** Storage classes by global name. */
const STORAGES: Readonly<Record<string, ElementType>> = {
  'torch.FloatStorage': 'F32',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.DoubleStorage': 'F64',
  'torch.LongStorage': 'I64',
  'torch.IntStorage': 'I32',
  'torch.ShortStorage': 'I16',
  'torch.CharStorage': 'I8',
  'torch.ByteStorage': 'U8',
  'torch.BoolStorage': 'BOOL',
};

/** What a pickle says of a storage. */
export interface TorchStorage {
  readonly key: string;
  readonly dtype: ElementType;
  /** Elements. */
  readonly count: number;
}

/** A tensor as the pickle describes it; inside its storage, by `checkTensor`. */
export interface TorchTensor {
  readonly storage: TorchStorage;
  /** In elements. */
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

type Call = (args: readonly Pickled[]) => Pickled;
class Callable {
  readonly call: Call;
  constructor(call: Call) {
    this.call = call;
  }
}
class StorageClass {
  readonly dtype: ElementType;
  constructor(dtype: ElementType) {
    this.dtype = dtype;
  }
}
export class Storage {
  readonly described: TorchStorage;
  constructor(described: TorchStorage) {
    this.described = described;
  }
}
export class Tensor {
  readonly described: TorchTensor;
  constructor(described: TorchTensor) {
    this.described = described;
  }
}

const made = (value: unknown): Pickled => ({ kind: 'made', value });
const madeOf = <T>(value: Pickled | undefined, type: abstract new (...args: never[]) => T): T | undefined =>
  isKind(value, 'made') && value.value instanceof type ? value.value : undefined;
/** The tensor that a value is, if it is one. */
export const tensorOf = (value: Pickled): TorchTensor | undefined => madeOf(value, Tensor)?.described;

const GLOBALS: Readonly<Record<string, Call>> = {
  'collections.OrderedDict': (args) => {
    if (args.length > 0) throw new Refusal('OrderedDict is called with arguments');
    return { kind: 'dict', entries: new Map() };
  },
  'torch._utils._rebuild_tensor': (args) => rebuilt(args),
  'torch._utils._rebuild_tensor_v2': (args) => rebuilt(args),
  'torch._utils._rebuild_parameter': ([data]) => {
    if (!madeOf(data, Tensor)) throw new Refusal('a parameter without a tensor');
    return data!;
  },
  'torch.Size': ([sizes]) => {
    if (!isKind(sizes, 'tuple')) throw new Refusal('a torch.Size without sizes');
    return sizes;
  },
};

function rebuilt([storage, offset, shape, strides]: readonly Pickled[]): Pickled {
  const held = madeOf(storage, Storage)?.described;
  if (!held) throw new Refusal('a tensor without a storage');
  const tensor = {
    storage: held,
    offset: size(offset, 'storage offset'),
    shape: sizes(shape, 'shape'),
    strides: sizes(strides, 'strides'),
  };
  checkTensor(tensor);
  return made(new Tensor(tensor));
}

/** PyTorch itself has no more dimensions. */
const MOST_DIMS = 64;

function size(value: Pickled | undefined, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Refusal(`${what} is ${value === undefined ? 'missing' : describe(value)}, not a whole number from 0 to 2^53`);
}
function sizes(value: Pickled | undefined, what: string): number[] {
  if (!isKind(value, 'tuple')) throw new Refusal(`${what} are not a tuple`);
  if (value.items.length > MOST_DIMS) throw new Refusal(`a tensor of ${value.items.length} dimensions`); // before they are walked
  return value.items.map((item) => size(item, `one of the ${what}`));
}

/** Throws a Refusal unless all of a tensor's elements lie in its storage. */
function checkTensor({ storage, offset, shape, strides }: TorchTensor): void {
  if (shape.length !== strides.length) throw new Refusal(`a tensor with ${shape.length} sizes and ${strides.length} strides`);
  const shown = `[${shape.join(',')}] with strides [${strides.join(',')}] from ${offset}`;
  if (sizeOf(shape) > 2 ** 50) throw new Refusal(`a tensor ${shown} has more elements than any file`);
  // Sums and products of doubles: too large they are still too large, never negative.
  if (offset + spanOf({ shape, strides }) > storage.count)
    throw new Refusal(`a tensor ${shown} reaches beyond its storage of ${storage.count} elements`);
}

/** What names mean in a checkpoint's pickle. `seen` gets every storage that is named. */
export function torchVocabulary(seen: Map<string, TorchStorage>): Vocabulary {
  return {
    global(name) {
      if (Object.hasOwn(STORAGES, name)) return made(new StorageClass(STORAGES[name]!));
      if (Object.hasOwn(GLOBALS, name)) return made(new Callable(GLOBALS[name]!));
      throw new Refusal(`it names ${name.slice(0, 200)}, which no checkpoint needs`);
    },
    persistent: (id) => made(new Storage(storageOf(id, seen))),
    call(callee, args) {
      const callable = madeOf(callee, Callable);
      if (!callable) throw new Refusal(`it calls ${describe(callee)}`);
      return callable.call(args);
    },
    build(object, state) {
      // An OrderedDict's attributes: `_metadata`, versions of modules.
      if (!isKind(object, 'dict') || !isKind(state, 'dict')) throw new Refusal(`it sets the state of ${describe(object)}`);
    },
  };
}

/** ('storage', class, key, device, elements[, view]) */
function storageOf(id: Pickled, seen: Map<string, TorchStorage>): TorchStorage {
  const [tag, type, key, , count, view] = isKind(id, 'tuple') ? id.items : [];
  const dtype = madeOf(type, StorageClass)?.dtype;
  if (tag !== 'storage' || !dtype || typeof key !== 'string') throw new Refusal('a persistent id that is not a storage');
  if (!/^\w{1,40}$/.test(key)) throw new Refusal(`the storage key ${JSON.stringify(key.slice(0, 100))} is not a plain name`);
  if (view !== undefined && view !== null) throw new Refusal('a storage that is a view of another');
  const storage = { key, dtype, count: size(count, 'the size of a storage') };
  const known = seen.get(key);
  if (known && (known.dtype !== dtype || known.count !== storage.count))
    throw new Refusal(`storage ${key} is ${known.dtype}[${known.count}] and ${dtype}[${storage.count}]`);
  seen.set(key, known ?? storage);
  return known ?? storage;
}

/** The tensor where its storage begins in a file. */
export const viewOf = (file: StoredFile, { storage, offset, shape, strides }: TorchTensor, storageBegin: number): View => ({
  file,
  dtype: storage.dtype,
  begin: storageBegin + offset * ELEMENT_BYTES[storage.dtype],
  shape,
  strides,
});

/** Tensors by name in a checkpoint's main value. Throws a Refusal naming what is none. */
export function tensorsIn(value: Pickled): Map<string, TorchTensor> {
  if (!isKind(value, 'dict')) throw new Refusal(`it holds ${describe(value)}, not tensors by name`);
  return new Map(
    [...value.entries].map(([name, entry]) => {
      const tensor = tensorOf(entry);
      if (!tensor) throw new Refusal(`${JSON.stringify(name.slice(0, 100))} is ${describe(entry)}, not a tensor`);
      return [name, tensor];
    }),
  );
}
