/** A recipe is a value: typed, complete, printed at start, stored in the run, diffable; an ablation is a spread. */
import { z } from 'zod';
import { EXIT, type Problem, suggest, UserError } from '../base/index.ts';
import { DIALECTS, FAMILY_NAMES, OPENMOE_DEFAULTS, type Family } from '../models/index.ts';

const positive = z.int().positive();
/** Bounds far beyond any model, so that a slip of the hand is an error and not an endless trace. */
const upTo = (most: number) => positive.max(most);
const fraction = z.number().min(0).max(1);

const model = z.strictObject({
  family: z.enum(FAMILY_NAMES as [Family, ...Family[]]).default('openmoe'),
  /** Rows of the embedding table; at least the tokenizer's vocabulary. */
  vocab: upTo(10_000_000),
  hidden: upTo(1_000_000),
  /** Inner features of a feed-forward and of each expert. */
  inner: upTo(10_000_000),
  layers: upTo(1000),
  heads: upTo(10_000),
  headSize: upTo(10_000).multipleOf(2),
  moeInterval: positive,
  experts: upTo(100_000),
  topK: positive.default(OPENMOE_DEFAULTS.topK),
  dialect: z.enum(DIALECTS).default(OPENMOE_DEFAULTS.dialect),
  groupSize: positive.default(OPENMOE_DEFAULTS.groupSize),
  referenceGroups: z.boolean().default(OPENMOE_DEFAULTS.referenceGroups),
  capacityFactorTrain: z.number().positive().default(OPENMOE_DEFAULTS.capacityFactorTrain),
  capacityFactorEval: z.number().positive().default(OPENMOE_DEFAULTS.capacityFactorEval),
  minCapacity: z.int().min(0).default(OPENMOE_DEFAULTS.minCapacity),
  maxPositions: positive.default(OPENMOE_DEFAULTS.maxPositions),
  ropeTheta: z.number().positive().default(OPENMOE_DEFAULTS.ropeTheta),
  normEps: z.number().positive().default(OPENMOE_DEFAULTS.normEps),
  initScale: z.number().positive().default(OPENMOE_DEFAULTS.initScale),
});

const optimizer = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('adafactor'),
    decayRate: z.number().positive().default(0.8),
    eps1: z.number().positive().default(1e-30),
    eps2: z.number().positive().default(1e-3),
    clip: z.number().positive().default(1),
    minDimToFactor: positive.default(128),
  }),
  z.strictObject({
    kind: z.literal('adamw'),
    beta1: fraction.default(0.9),
    beta2: fraction.default(0.95),
    eps: z.number().positive().default(1e-8),
    weightDecay: z.number().min(0).default(0.1),
  }),
]);

const schedule = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('rsqrt'), base: z.number().positive().default(1), warmup: positive.default(10_000) }),
  z.strictObject({ kind: z.literal('constant'), base: z.number().positive() }),
]);

export const RecipeSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]*$/, 'lower-case letters, digits and hyphens'),
  seed: z.int().min(0).default(0),
  model,
  /** What matrix products multiply; parameters, optimizer state, sums, norms, the router and losses are f32 either way. */
  precision: z.enum(['f32', 'bf16']).default('f32'),
  /** Pieces of the byte-level BPE trained on the data. */
  tokenizer: z.strictObject({ vocab: positive.min(260) }),
  data: z.strictObject({
    /** `starter`, or a folder of .txt, .jsonl or .jsonl.gz files. */
    source: z.string().default('starter'),
    /** Tokens of a row. */
    length: positive,
  }),
  losses: z
    .strictObject({
      z: z.number().min(0).default(1e-4),
      balance: z.number().min(0).default(0.01),
      routerZ: z.number().min(0).default(1e-4),
    })
    .prefault({}),
  optimizer: optimizer.prefault({ kind: 'adafactor' }),
  schedule: schedule.prefault({ kind: 'rsqrt' }),
  train: z.strictObject({
    /** Rows of a microbatch. */
    batch: positive,
    /** Microbatches of a step, whose gradients are summed. */
    accumulate: upTo(10_000).default(1),
    /** Activation recomputation: `layer` keeps only the inputs of layers and runs each forward again for its gradients; same bits. */
    recompute: z.enum(['none', 'layer']).default('none'),
    /** Steps; 0 asks for as many as `seconds` allow, validation and probe included, fixed before step 0 from a speed probe. */
    steps: z.int().min(0),
    seconds: z.number().positive().default(120),
  }),
  validation: z.strictObject({ everyShare: fraction.default(0.1), rows: positive.default(64) }).prefault({}),
  checkpoints: z
    .strictObject({
      /** Shares of the training steps whose checkpoints are kept and probed. */
      probeShares: z.array(fraction).default([0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.2, 0.35, 0.5, 0.64, 1]),
      everySeconds: z.number().positive().default(60),
    })
    .prefault({}),
  probe: z.strictObject({ sequencesPerDomain: positive.default(32) }).prefault({}),
});

export type Recipe = z.output<typeof RecipeSchema>;
export type RecipeInput = z.input<typeof RecipeSchema>;

/** A complete recipe from one with defaults left out. Throws UserError E_CONFIG with every problem at once. */
export const recipe = (input: RecipeInput): Recipe => checkRecipe(input, 'recipe');

export function checkRecipe(input: unknown, place: string): Recipe {
  const parsed = RecipeSchema.safeParse(input);
  if (!parsed.success)
    throw new UserError(
      'E_CONFIG',
      EXIT.usage,
      parsed.error.issues.flatMap((issue) => problems(issue, input, place)),
    );
  const wrong = contradictions(parsed.data, place);
  if (wrong.length > 0) throw new UserError('E_CONFIG', EXIT.usage, wrong);
  return parsed.data;
}

function problems(issue: z.core.$ZodIssue, input: unknown, place: string): Problem[] {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({
      message: `${[...path, key].join('.')}: no such setting`,
      place,
      hint: suggest(key, keysAt(path, input)),
    }));
  const got = path.reduce<unknown>((x, key) => (x as Record<string, unknown> | undefined)?.[key], input);
  return [{ message: `${path.join('.')}: ${issue.message.toLowerCase()}`, place, hint: `got ${JSON.stringify(got) ?? 'nothing'}` }];
}

/** Names of the settings at a path: for the nearest real one. */
export function keysAt(path: readonly string[], input: unknown): string[] {
  let schema: unknown = RecipeSchema;
  let value: unknown = input;
  for (const key of path) {
    schema = shapeOf(schema, value)?.[key];
    value = (value as Record<string, unknown> | undefined)?.[key];
  }
  return Object.keys(shapeOf(schema, value) ?? {});
}

function shapeOf(schema: unknown, value: unknown): Record<string, unknown> | undefined {
  let inner = schema as z.core.$ZodType | undefined;
  while (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) inner = inner.def.innerType;
  if (inner instanceof z.ZodObject) return inner.shape;
  if (!(inner instanceof z.ZodDiscriminatedUnion)) return undefined;
  const kind = (value as { kind?: unknown } | undefined)?.kind;
  const options = inner.options as z.ZodObject[];
  return (options.find((o) => (o.shape['kind'] as z.ZodLiteral).value === kind) ?? options[0])?.shape;
}

/** What each setting allows alone but not together. */
function contradictions(r: Recipe, place: string): Problem[] {
  const rule = (broken: boolean, message: string, hint: string): Problem[] => (broken ? [{ message, place, hint }] : []);
  return [
    ...rule(
      r.model.topK > r.model.experts,
      `model.topK: ${r.model.topK} choices among ${r.model.experts} experts`,
      'lower model.topK or raise model.experts',
    ),
    ...rule(
      r.tokenizer.vocab > r.model.vocab,
      `tokenizer.vocab: ${r.tokenizer.vocab} pieces do not fit model.vocab ${r.model.vocab}`,
      'set model.vocab to at least as much',
    ),
    ...rule(
      r.data.length > r.model.maxPositions,
      `data.length: ${r.data.length} is beyond model.maxPositions ${r.model.maxPositions}`,
      'raise model.maxPositions',
    ),
  ];
}

/** A copy of `input` with `a.b.c=value` set; `~a.b` leaves a setting out so that its default holds. Throws UserError E_CONFIG_KEY. */
export function override(input: RecipeInput, assignments: readonly string[]): RecipeInput {
  const copy = structuredClone(input) as Record<string, unknown>;
  // A kind first: it clears the settings of the kind before.
  const ordered = assignments.toSorted((a, b) => Number(isKind(b)) - Number(isKind(a)));
  const wrong = ordered.flatMap((text) => assign(copy, text));
  if (wrong.length > 0) throw new UserError('E_CONFIG_KEY', EXIT.usage, wrong);
  return copy as RecipeInput;
}

const isKind = (text: string): boolean => /\.kind=/.test(text);

function assign(target: Record<string, unknown>, text: string): Problem[] {
  const removes = text.startsWith('~');
  const [name, value] = removes ? [text.slice(1), undefined] : split(text);
  const path = name.split('.');
  // `data=PATH` means the source of the data.
  if (path.length === 1 && name === 'data') path.push('source');
  for (const [depth, key] of path.entries()) {
    const known = keysAt(path.slice(0, depth), target);
    if (!known.includes(key))
      return [{ message: `${path.slice(0, depth + 1).join('.')}: no such setting`, place: `override ${text}`, hint: suggest(key, known) }];
  }
  const group = path.slice(0, -1).reduce<unknown>((x, key) => (isGroup(x) ? (x[key] ??= {}) : undefined), target);
  if (!isGroup(group))
    return [
      { message: `${path.slice(0, -1).join('.')} was given a value of its own`, place: `override ${text}`, hint: 'set its parts only' },
    ];
  const last = path.at(-1)!;
  if (removes) delete group[last];
  else set(group, last, literal(value ?? ''));
  return [];
}

const isGroup = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null && !Array.isArray(x);

/** Another kind of optimizer or schedule has other settings: the old ones go. */
function set(group: Record<string, unknown>, key: string, value: unknown): void {
  if (key === 'kind' && group[key] !== value) for (const other of Object.keys(group)) delete group[other];
  group[key] = value;
}

const split = (text: string): [string, string] => {
  const at = text.indexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
};

const UNITS: Readonly<Record<string, number>> = { k: 1e3, m: 1e6, b: 1e9, '%': 0.01 };
/** Numbers as people write them (`25.6m`, `50%`), truth, lists, else text. */
function literal(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  if (text.startsWith('[') && text.endsWith(']'))
    return text
      .slice(1, -1)
      .split(',')
      .filter(Boolean)
      .map((x) => literal(x.trim()));
  const [, digits, unit] = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)([kmb%]?)$/i.exec(text) ?? [];
  return digits === undefined ? text : Number((Number(digits) * (UNITS[unit!.toLowerCase()] ?? 1)).toPrecision(15));
}
