/** Outside numbers under test/goldens, the executors that must reproduce them, and distances between the two. */
import { readFileSync } from 'node:fs';
import { f32FromF16, readHeader, type SafeDType } from '../src/base/index.ts';
import { readWeights } from '../src/checkpoints/index.ts';
import {
  assignSlots,
  cpuIsas,
  type Executor,
  openCpu,
  openRef,
  openWasm,
  type Program,
  softmax,
  topk,
  trace,
  wasmIsas,
} from '../src/exec/index.ts';
import { balanceLoss, type Model, openmoe, OPENMOE_DEFAULTS, routerZ } from '../src/models/index.ts';
import type { Optimizer } from '../src/train/optimizers/index.ts';
import { type Numbers, withIsa } from './support.ts';

export interface Golden {
  readonly shape: readonly number[];
  readonly data: Numbers;
}
export type Goldens = ReadonlyMap<string, Golden>;

// A copy: slices of Node's own Buffer would share its memory.
export const goldenBytes = (path: string): Uint8Array => new Uint8Array(readFileSync(new URL(`goldens/${path}`, import.meta.url)));

/** A JSON file of test/goldens; `T` says what the test reads from it. */
export const goldenJson = <T>(path: string): T => JSON.parse(new TextDecoder().decode(goldenBytes(path))) as T;

/** The tensors of a safetensors file of test/goldens. */
export function goldens(path: string): Goldens {
  const bytes = goldenBytes(path);
  const { tensors } = readHeader(bytes, bytes.length, path);
  return new Map([...tensors].map(([name, t]) => [name, { shape: t.shape, data: numbers(bytes.slice(t.begin, t.end).buffer, t.dtype) }]));
}

function numbers(buffer: ArrayBufferLike, dtype: SafeDType): Numbers {
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer);
    case 'F64':
      return new Float64Array(buffer);
    case 'F16':
      return f32FromF16(new Uint16Array(buffer));
    case 'I32':
      return new Int32Array(buffer);
    case 'I64':
      return Int32Array.from(new BigInt64Array(buffer), Number);
    case 'U8':
      return Int32Array.from(new Uint8Array(buffer));
    default:
      throw new TypeError(`goldens: no reader for ${dtype}`);
  }
}

/** A tensor that must be there. */
export function at(tensors: Goldens, name: string): Golden {
  const found = tensors.get(name);
  if (!found) throw new Error(`goldens: no tensor ${name}`);
  return found;
}
export const f32At = (tensors: Goldens, name: string): Float32Array => Float32Array.from(at(tensors, name).data);
export const i32At = (tensors: Goldens, name: string): Int32Array => Int32Array.from(at(tensors, name).data);

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

export const largest = (x: Numbers): number => (x as Float32Array).reduce((m, v) => Math.max(m, Math.abs(v)), 0);

/** Largest |a − b| in units of b's largest entry; 0 where both are zero throughout. */
export function farthestOfLargest(a: ArrayLike<number>, b: Numbers): number {
  const d = farthest(a, b);
  return d === 0 ? 0 : d / largest(b);
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

/** The router behind its logits [T,E], T tokens in equal groups: chosen, gates, slot, kept, balanceLoss, routerZ. */
export function routerProgram({
  tokens,
  experts,
  groups,
  capacity,
}: Readonly<Record<'tokens' | 'experts' | 'groups' | 'capacity', number>>): Program {
  return trace('router', { logits: { shape: [tokens, experts] } }, ({ logits }) => {
    const probs = softmax(logits!);
    const { values: gates, indices: chosen } = topk(probs, 2);
    const { slot, kept } = assignSlots(chosen, { experts, group: tokens / groups, capacity });
    return { results: { gates, chosen, slot, kept, balanceLoss: balanceLoss(probs, chosen, groups), routerZ: routerZ(logits!) } };
  });
}

/** Raw probabilities of the choices that were kept, 0 for the others. */
export const combineWeights = ({ gates, kept }: Readonly<Record<string, Numbers>>): number[] => Array.from(kept!, (k, i) => k * gates![i]!);

/** An optimizer whose step leaves the gradient where the weight was. */
export const gradientInPlace: Optimizer = { slots: () => ({}), scalars: () => ({}), update: (_, { g }) => ({ w: g, slots: {} }) };

interface JaxConfig {
  readonly vocab: number;
  readonly hidden: number;
  readonly ffn: number;
  readonly layers: number;
  readonly heads: number;
  readonly head_dim: number;
  readonly experts: number;
  readonly interval: number;
  readonly group_size: number;
}

/** One of the two models that the JAX reference ran. */
export function jaxModel(name: 'm1' | 'm2'): Model {
  const c = goldenJson<JaxConfig>(`jax/${name}/config.json`);
  const sizes = { vocab: c.vocab, hidden: c.hidden, inner: c.ffn, layers: c.layers, heads: c.heads, headSize: c.head_dim };
  return openmoe({
    ...OPENMOE_DEFAULTS,
    ...sizes,
    experts: c.experts,
    moeInterval: c.interval,
    groupSize: c.group_size,
    referenceGroups: true,
  });
}

/** Weights by path from a golden file under Hugging Face names. */
export const goldenWeights = (model: Model, path: string): Promise<Map<string, Float32Array>> =>
  readWeights(model, () => Promise.resolve(goldenBytes(path)), path);

export type BatchNumbers = Readonly<Record<'tokens' | 'targets' | 'segments' | 'weights', Float32Array | Int32Array>>;

/** The decoder features of a JAX batch as our batch; `step` picks one of several. The reference masks where the target is padding. */
export function jaxBatch(tensors: Goldens, step?: number): BatchNumbers {
  const feature = (name: string): Int32Array => {
    const { shape, data } = at(tensors, `decoder_${name}`);
    if (step === undefined) return Int32Array.from(data);
    const size = data.length / shape[0]!;
    return Int32Array.from(data.slice(step * size, (step + 1) * size));
  };
  const targets = feature('target_tokens');
  return {
    tokens: feature('input_tokens'),
    targets,
    segments: feature('segment_ids').map((s, i) => (targets[i]! > 0 ? s : 0)),
    weights: Float32Array.from(feature('loss_weights')),
  };
}

const T5X_WHOLE: Readonly<Record<string, string>> = {
  embedding: 'token_embedder/embedding',
  'norm.scale': 'decoder/decoder_norm/scale',
  head: 'decoder/logits_dense/kernel',
};
const T5X_IN_LAYER: Readonly<Record<string, string>> = {
  'attentionNorm.scale': 'pre_self_attention_layer_norm/scale',
  'attention.query': 'self_attention/query/kernel',
  'attention.key': 'self_attention/key/kernel',
  'attention.value': 'self_attention/value/kernel',
  'attention.out': 'self_attention/out/kernel',
  'mlpNorm.scale': 'pre_mlp_layer_norm/scale',
  'mlp.gate': 'mlp/wi_0/kernel',
  'mlp.up': 'mlp/wi_1/kernel',
  'mlp.down': 'mlp/wo/kernel',
  'moe.router.weight': 'mlp/router/router_weights/w/kernel',
  'moe.experts.gate': 'mlp/expert/wi_0/kernel',
  'moe.experts.up': 'mlp/expert/wi_1/kernel',
  'moe.experts.down': 'mlp/expert/wo/kernel',
  'extraNorm.scale': 'pre_extra_mlp_layer_norm/scale',
  'extra.gate': 'extra_mlp/wi_0/kernel',
  'extra.up': 'extra_mlp/wi_1/kernel',
  'extra.down': 'extra_mlp/wo/kernel',
};

/** A parameter's name in T5X checkpoints (reference 9.2), where matrices are stored [in,out] as ours. */
export function t5xName(path: string): string {
  const [, index, rest] = /^layers\.(\d+)\.(.+)$/.exec(path) ?? [];
  const name = index === undefined ? T5X_WHOLE[path] : T5X_IN_LAYER[rest!] && `decoder/layers_${index}/${T5X_IN_LAYER[rest!]}`;
  if (!name) throw new Error(`goldens: no T5X name for ${path}`);
  return name;
}
