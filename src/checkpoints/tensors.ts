/** f32 tensors to and from safetensors bytes, streamed one tensor at a time. */
import { EXIT, layout, type SafeDType, type SafeTensor, readHeader, suggest, UserError } from '../base/index.ts';

export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Chunks of a safetensors file whose tensors `read` gives one after another. */
export function* tensorFile(tensors: readonly NamedTensor[], read: (name: string) => Float32Array): Generator<Uint8Array> {
  const plan = layout(
    tensors.map((t) => ({ ...t, dtype: 'F32' as const })),
    { format: 'pt' },
  );
  yield plan.header;
  for (const { name } of plan.tensors) {
    const values = read(name);
    yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  }
}

/**
 * Exactly the expected tensors of a file, by name. Throws UserError E_WEIGHTS (exit 4) listing all that are missing,
 * unexpected, or of another shape or dtype.
 */
export function readTensors(bytes: Uint8Array, expected: readonly NamedTensor[], place: string): Map<string, Float32Array> {
  const { tensors } = readHeader(bytes, bytes.length, place);
  checkTensors(tensors, expected, { types: ['F32'], place });
  // Copied by hand: the slice of a Node Buffer is a view, and its memory is the whole file's.
  return new Map([...tensors.values()].map((t) => [t.name, new Float32Array(new Uint8Array(bytes.subarray(t.begin, t.end)).buffer)]));
}

/** Throws UserError E_WEIGHTS (exit 4) unless these are exactly the expected tensors, of one of the types. */
export function checkTensors(
  tensors: ReadonlyMap<string, SafeTensor>,
  expected: readonly NamedTensor[],
  { types, place }: { readonly types: readonly SafeDType[]; readonly place: string },
): void {
  const wanted = new Map(expected.map((t) => [t.name, t]));
  const problems = [
    ...expected
      .filter((t) => !tensors.has(t.name))
      .map((t) => ({ message: `${t.name} is missing`, place, hint: suggest(t.name, [...tensors.keys()].slice(0, 2000)) })),
    ...[...tensors.keys()].filter((name) => !wanted.has(name)).map((name) => ({ message: `${name} does not belong to this model`, place })),
    ...[...tensors.values()].flatMap((t) => mismatch(t, wanted.get(t.name), { types, place })),
  ];
  if (problems.length > 0) throw new UserError('E_WEIGHTS', EXIT.damaged, problems);
}

function mismatch(
  t: SafeTensor,
  want: NamedTensor | undefined,
  { types, place }: { readonly types: readonly SafeDType[]; readonly place: string },
) {
  if (!want || (types.includes(t.dtype) && t.shape.join() === want.shape.join())) return [];
  return [{ message: `${t.name} is ${t.dtype}[${t.shape}]`, place, hint: `expected ${types.join(' or ')}[${want.shape}]` }];
}
