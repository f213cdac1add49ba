/** A routing record of rows of ids: what each router did with them, each row alone or all together.   K choices. */
import { readFile } from 'node:fs/promises';
import { EXIT, UserError } from '../base/index.ts';
import { capacityOf, groupCount, openLanguageModel, type Read, referencePadding } from '../infer/index.ts';
import type { RoutingRecord } from '../routing/index.ts';
import { fitted } from './generating.ts';
import { parseIds } from './ids.ts';
import type { ReadingModel } from './reading-model.ts';

/** One row of ids by line: `0,17,5`, blanks or a JSON list. Throws UserErrors E_IDS (usage), E_IDS_FILE (not found). */
export async function readIdsFile(path: string): Promise<number[][]> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) throw new UserError('E_IDS_FILE', EXIT.notFound, { message: 'there is no such file', place: path });
  const lines = text.split('\n').map((line, n) => ({ line: line.trim(), place: `${path}:${n + 1}` }));
  const rows = lines.filter(({ line }) => line !== '' && line !== '[' && line !== ']').map(({ line, place }) => parseIds(line, place));
  if (rows.length === 0) throw new UserError('E_IDS', EXIT.usage, { message: 'the file holds no ids', place: path });
  return rows;
}

export interface IdsRecord {
  readonly record: RoutingRecord;
  /** By row and MoE layer, [n·K] in order of preference. */
  readonly rows: readonly { readonly ids: readonly number[]; readonly layers: readonly RowLayer[] }[];
}
export interface RowLayer {
  readonly layer: number;
  readonly capacity: number;
  readonly experts: readonly number[];
  readonly gates: readonly number[];
  readonly kept: readonly number[];
}

/** Reads rows as prompts are read: capacity of evaluation. `together`: they are one routing group, padded as their dialect does. */
export async function recordIds(opened: ReadingModel, rows: readonly (readonly number[])[], together: boolean): Promise<IdsRecord> {
  const { model, executor, weights } = opened;
  const lm = openLanguageModel(model, executor, weights, { group: together ? 'batch' : 'row' });
  const fit = { model, context: lm.context + 1, maxTokens: 1, truncate: undefined };
  const given = rows.map((ids) => fitted(ids, fit));
  const reads: Read[] = [];
  if (together) reads.push(...(await lm.beginTogether(given.length).read(given)));
  else for (const ids of given) reads.push(await lm.begin().extend(ids));
  lm.close();
  const { topK } = model.config;
  const longest = Math.max(...given.map((ids) => ids.length));
  const of = (r: number, at: number): RowLayer => {
    const { layer, chosen, gates, kept } = reads[r]!.routed[at]!;
    const first = reads[r]!.padding * topK;
    const mine = <T extends Int32Array | Float32Array>(x: T): number[] => Array.from(x.subarray(first, first + given[r]!.length * topK));
    const capacity = slots(opened, together ? { rows: given.length, length: longest } : { rows: 1, length: given[r]!.length });
    return { layer, capacity, experts: mine(chosen), gates: mine(gates), kept: mine(kept) };
  };
  const found = given.map((ids, r) => ({ ids, layers: model.moeLayers.map((_, at) => of(r, at)) }));
  return { record: recordOf(opened, found, together), rows: found };
}

function slots({ model: { config } }: ReadingModel, { rows, length }: { readonly rows: number; readonly length: number }): number {
  const zeros = referencePadding(rows, length, config);
  const tokens = (rows + zeros.rows) * (length + zeros.columns);
  return capacityOf(tokens / groupCount(tokens, config), 'eval', config);
}

function recordOf({ model, step }: ReadingModel, rows: IdsRecord['rows'], together: boolean): RoutingRecord {
  const tokens = Int32Array.from(rows.flatMap((row) => row.ids));
  const each = (value: (row: number, position: number) => number): Int32Array =>
    Int32Array.from(rows.flatMap((row, r) => row.ids.map((_, i) => value(r, i))));
  return {
    experts: model.config.experts,
    topK: model.config.topK,
    domains: ['ids'],
    heldOut: [],
    tokens,
    sequence: each((r) => r),
    position: each((_, i) => i),
    domain: each(() => 0),
    group: each((r) => (together ? 0 : r)),
    layers: model.moeLayers.map((layer, at) => {
      const all = (of: (l: RowLayer) => readonly number[]): number[] => rows.flatMap((row) => of(row.layers[at]!));
      return {
        layer,
        chosen: Int32Array.from(all((l) => l.experts)),
        gates: Float32Array.from(all((l) => l.gates)),
        kept: Uint8Array.from(all((l) => l.kept)),
        capacity: Math.max(...rows.map((row) => row.layers[at]!.capacity)),
      };
    }),
    step: step ?? 0,
    share: 1,
  };
}
