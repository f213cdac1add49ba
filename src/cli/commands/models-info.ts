/** openmoe models info: what a checkpoint is, from its headers alone. */
import { formatBytes, formatCount, inColumns } from '../../base/index.ts';
import { WEIGHT_BITS, type WeightType } from '../../infer/index.ts';
import { type Model, sizeOf } from '../../models/index.ts';
import { command, required } from '../command.ts';
import { MODEL } from '../model-reference.ts';
import { openModel, type OpenedModel } from '../opened-model.ts';
import { shownPath } from '../surroundings.ts';

export const info = command({
  about: 'Says what a checkpoint is: parameters, types, shards, layers, experts, and the memory that each way of running it needs',
  examples: ['models info last', 'models info openmoe-8b --json', 'models info pytorch_model.bin'],
  args: { model: required(MODEL) },
  async run({ args, terminal }) {
    const opened = await openModel(args.model, terminal);
    const { found, checkpoint } = opened;
    try {
      const stored = storedFacts(opened);
      const data = {
        path: found.place,
        kind: opened.kind,
        step: opened.step ?? null,
        format: found.format,
        names: checkpoint?.names ?? null,
        shards: found.shards,
        ...stored,
        model: checkpoint ? modelFacts(checkpoint.model) : null,
        memory: checkpoint ? memory(checkpoint.model) : null,
      };
      return { schema: 'openmoe.models-info/1', data, text: text(data) };
    } finally {
      await opened.files.close();
    }
  },
});

interface Facts {
  readonly path: string;
  readonly format: string;
  readonly names: string | null;
  readonly shards: readonly string[];
  readonly tensors: number;
  readonly elements: number;
  readonly dtypes: Readonly<Record<string, number>>;
  readonly model: ReturnType<typeof modelFacts> | null;
  readonly memory: ReturnType<typeof memory> | null;
}

/** `dtypes`: elements of each type. */
function storedFacts({ types }: OpenedModel) {
  const list = types().map(({ dtype, shape }) => ({ dtype, size: sizeOf(shape) }));
  const dtypes: Record<string, number> = {};
  for (const { dtype, size } of list) dtypes[dtype] = (dtypes[dtype] ?? 0) + size;
  return { tensors: list.length, elements: list.reduce((n, t) => n + t.size, 0), dtypes };
}

const modelFacts = ({ family, config, counts, moeLayers }: Model) => ({
  family,
  parameters: counts.total,
  active: counts.active,
  active_in_blocks: counts.activeInBlocks,
  vocab: config.vocab,
  hidden: config.hidden,
  inner: config.inner,
  layers: config.layers,
  heads: config.heads,
  head_size: config.headSize,
  experts: moeLayers.length > 0 ? config.experts : 0,
  top_k: config.topK,
  moe_layers: moeLayers,
  max_positions: config.maxPositions,
  dialect: config.dialect,
});

/** Scales of narrow weights: 16 bits for each 32. */
const BITS: Readonly<Record<WeightType, number>> = { ...WEIGHT_BITS, int8: 8.5, int4: 4.5 };

/** Bytes of weights by type that they are multiplied as; embedding, norms and routers stay f32. Keys and values are f32. */
function memory({ list, config }: Model) {
  const narrow = list.filter((p) => p.shape.length > 1 && p.path !== 'embedding' && !p.path.endsWith('router.weight'));
  const matrices = narrow.reduce((n, p) => n + sizeOf(p.shape), 0);
  const rest = list.reduce((n, p) => n + sizeOf(p.shape), 0) - matrices;
  const weights = Object.fromEntries(Object.entries(BITS).map(([type, bits]) => [type, 4 * rest + (matrices * bits) / 8])) as Record<
    WeightType,
    number
  >;
  return { weights, cache_per_row: 2 * 4 * config.layers * config.heads * config.headSize * config.maxPositions };
}

function text(f: Facts): string {
  const dtypes = Object.entries(f.dtypes).map(([dtype, n]) => (Object.keys(f.dtypes).length > 1 ? `${dtype} (${formatCount(n)})` : dtype));
  const rows = [
    ['path', shownPath(f.path)],
    ['format', `${f.format}${f.names ? `, ${f.names} names` : ''}, ${f.shards.length} ${f.shards.length === 1 ? 'file' : 'shards'}`],
    ['tensors', `${f.tensors}, ${formatCount(f.elements)} elements, ${dtypes.join(', ')}`],
  ];
  const { model: m, memory: needs } = f;
  if (!m || !needs) return `${inColumns(rows)}no config.json beside it: names and shapes belong to no known model\n`;
  rows.push(
    [
      'parameters',
      `${formatCount(m.parameters)} (${m.parameters}), ${formatCount(m.active)} active, ${formatCount(m.active_in_blocks)} of them in blocks`,
    ],
    ['layers', `${m.layers}, hidden ${m.hidden}, inner ${m.inner}, ${m.heads} heads of ${m.head_size}, vocabulary ${m.vocab}`],
    ['experts', m.experts > 0 ? `${m.experts} in layers ${m.moe_layers.join(', ')}, ${m.top_k} for each token` : 'none'],
    ['context', `${m.max_positions} positions, ${formatBytes(needs.cache_per_row)} of keys and values a row`],
    [
      'memory',
      Object.entries(needs.weights)
        .map(([type, bytes]) => `${type} ${formatBytes(bytes)}`)
        .join(' · '),
    ],
  );
  return inColumns(rows);
}
