/** A source made ready for training: tokenized, split, packed, and addressed by (seed, step).   S tokens a row. */
import { EXIT, fnv1a, mix32, rng, UserError } from '../base/index.ts';
import { breathing, type Tokenizer } from '../text/index.ts';
import type { Batch } from './batch.ts';
import { causal } from './causal.ts';
import { clusters, sketch } from './near-duplicates.ts';
import { permuted, rowsOfStep } from './order.ts';
import { chooseSlices } from './probe.ts';
import { gather, type Labelled, pack, type Rows, single } from './rows.ts';
import type { DomainInfo, Source } from './source.ts';
import { assign, type DomainCounts, type Split, SPLITS } from './split.ts';

/** Which rows a step reads. */
interface Draw {
  readonly seed: number;
  /** Steps from 0. */
  readonly step: number;
  /** Rows of a step. */
  readonly batch: number;
}

export interface Dataset {
  readonly source: string;
  readonly domains: readonly DomainInfo[];
  /** S. */
  readonly length: number;
  /** By domain. */
  readonly counts: readonly DomainCounts[];
  /** Documents that resemble an earlier one. */
  readonly nearDuplicates: number;
  /** 16 hex digits over all tokens, segments, domains and sides: a run may only go on with the data it began with. */
  readonly hash: string;
  /** Rows of one epoch; none is padded unless there is only one. */
  readonly trainRows: number;
  /** A pure function of its arguments: epoch after epoch, each in its own order, no row again before all were seen. */
  trainBatch(draw: Draw): Batch;
  /** Every row that steps 0 … `steps` − 1 read, once, in batches of one row. */
  rowsSeen(draw: { readonly seed: number; readonly steps: number; readonly batch: number }): Iterable<Batch>;
  /** Up to `atMost` rows of a domain, always the same and in the same order; none for held-out domains. The last may be padded. */
  validationRows(domain: number, atMost: number): Batch;
  /** Rows of one segment each, domain after domain (held-out ones too), fewer where a domain has no more. A function of its arguments. */
  probeRows(choice: { readonly seed: number; readonly sequencesPerDomain: number }): Batch;
}

export interface PrepareProgress {
  readonly documents: number;
  readonly bytes: number;
  readonly tokens: number;
}

interface Prepared {
  readonly domain: number;
  readonly ids: Int32Array;
  readonly bytes: number;
  readonly hash: number;
  readonly sketch: Uint32Array;
}

/**
 * Reads a source once and packs it into rows of `length`. Throws UserError E_DATA_SMALL when there is less to train on than one
 * step of `batch` rows, or nothing to validate on; the reason of `signal` when it aborts.
 */
export async function prepare(
  source: Source,
  tokenizer: Tokenizer,
  { length, batch, signal }: { readonly length: number; readonly batch: number; readonly signal?: AbortSignal },
  onProgress: (progress: PrepareProgress) => void = () => {},
): Promise<Dataset> {
  const eos = endOf(tokenizer);
  const documents = await tokenize(source, tokenizer, signal, onProgress);
  const cluster = clusters(documents.map((d) => d.sketch));
  const sides = assign(
    documents.map(({ domain, hash }, i) => ({ domain, hash, cluster: cluster[i]!, heldOut: source.domains[domain]!.heldOut ?? false })),
  );
  const on = (side: Split): Prepared[] => documents.filter((_, i) => sides[i] === side).sort((a, b) => a.domain - b.domain);
  const copies = new Set(documents.filter((_, i) => cluster[i] !== i));
  const examples = function* (list: readonly Prepared[]): Generator<Labelled> {
    for (const { ids, domain } of list) yield { example: causal(ids, eos), domain };
  };
  const train = pack(examples(on('train')), { length, fullRowsOnly: true });
  const held = on('validation');
  const validation = source.domains.map((_, d) => pack(examples(held.filter((x) => x.domain === d)), { length, fullRowsOnly: false }));
  const probe = on('probe').map((d) => ({ targets: causal(d.ids, eos).targets, domain: d.domain, copy: copies.has(d) }));
  refuseSmall(source, { trainRows: train.count, validationRows: validation.reduce((n, v) => n + v.count, 0), length, batch });
  const row = (number: number): Batch => gather(train, [number]);
  return {
    source: source.name,
    domains: source.domains,
    length,
    counts: source.domains.map((_, d) => count(documents, sides, d)),
    nearDuplicates: copies.size,
    hash: hashOf([train, ...validation, single(probe, Math.max(1, ...probe.map((p) => p.targets.length)))]),
    trainRows: train.count,
    trainBatch: ({ seed, step, batch }) => gather(train, rowsOfStep(train.count, { random: rng(seed).at('data/order'), step, batch })),
    *rowsSeen({ seed, steps, batch }) {
      const random = rng(seed).at('data/order');
      for (let n = 0; n < Math.min(steps * batch, train.count); n++) yield row(rowsOfStep(train.count, { random, step: n, batch: 1 })[0]!);
    },
    validationRows(domain, atMost) {
      const rows = validation[domain]!;
      const random = rng(0).at('data/validation');
      return gather(
        rows,
        Array.from({ length: Math.min(atMost, rows.count) }, (_, i) => permuted(i, rows.count, random)),
      );
    },
    probeRows({ seed, sequencesPerDomain }) {
      const random = rng(seed).at('data/probe');
      const chosen = source.domains.flatMap((_, d) =>
        chooseSlices(
          probe.filter((p) => p.domain === d),
          { length, most: sequencesPerDomain, random: random.at('domain', d) },
        ),
      );
      const rows = single(chosen, length);
      return gather(
        rows,
        chosen.map((_, r) => r),
      );
    },
  };
}

function endOf({ eos }: Tokenizer): number {
  if (eos !== undefined) return eos;
  throw new UserError('E_TOKENIZER_EOS', EXIT.usage, {
    message: 'the tokenizer has no piece that ends a document',
    hint: 'train one with `openmoe tokenizer train`',
  });
}

async function tokenize(
  source: Source,
  tokenizer: Tokenizer,
  signal: AbortSignal | undefined,
  onProgress: (p: PrepareProgress) => void,
): Promise<Prepared[]> {
  const numberOf = new Map(source.domains.map((d, i) => [d.name, i]));
  const breathe = breathing(signal);
  const documents: Prepared[] = [];
  let [bytes, tokens] = [0, 0];
  for await (const { domain, text } of source.documents()) {
    const ids = Int32Array.from(tokenizer.encode(text));
    // Every byte of the text is a byte of one of its pieces.
    const size = ids.reduce((n, id) => n + tokenizer.bytesOf(id).length, 0);
    documents.push({ domain: numberOf.get(domain)!, ids, bytes: size, hash: fnv1a(text), sketch: sketch(text) });
    bytes += size;
    tokens += ids.length + 1;
    if (await breathe()) onProgress({ documents: documents.length, bytes, tokens });
  }
  onProgress({ documents: documents.length, bytes, tokens });
  return documents;
}

function refuseSmall(source: Source, c: { trainRows: number; validationRows: number; length: number; batch: number }): void {
  const refuse = (message: string, hint: string): never => {
    throw new UserError('E_DATA_SMALL', EXIT.damaged, { message, place: source.name, hint });
  };
  if (c.trainRows < c.batch)
    refuse(
      `the training text fills ${c.trainRows} rows of ${c.length} tokens, one step reads ${c.batch}`,
      'add text, or lower train.batch or data.length',
    );
  if (c.validationRows === 0)
    refuse('no document is left to validate on', 'a domain needs at least two documents: split the text into more files or lines');
}

function count(documents: readonly Prepared[], sides: readonly Split[], domain: number): DomainCounts {
  const sum = (size: (d: Prepared) => number) =>
    Object.fromEntries(
      SPLITS.map((side) => [side, documents.reduce((n, d, i) => n + (sides[i] === side && d.domain === domain ? size(d) : 0), 0)]),
    ) as Record<Split, number>;
  return { documents: sum(() => 1), bytes: sum((d) => d.bytes), tokens: sum((d) => d.ids.length + 1) };
}

/** Two 32-bit lanes over every number: changes with any of them and with their order; no defence against forgery. */
function hashOf(parts: readonly Rows[]): string {
  let [a, b] = [0x811c9dc5, 0x9e3779b9];
  const add = (x: number): void => {
    a = Math.imul(a ^ x, 0x01000193);
    b = mix32(b + x);
  };
  for (const { count, length, targets, segments, domains } of parts) {
    add(count);
    add(length);
    for (const list of [targets, segments, domains]) for (const x of list) add(x);
  }
  return [mix32(a), b].map((x) => (x >>> 0).toString(16).padStart(8, '0')).join('');
}
