/** `inspect token`: the same token id in different contexts, and whether it goes to the same experts in all of them. */
import type { RoutingRecord } from '../../routing/index.ts';
import { tokenContextsChart } from '../charts/token-contexts.ts';
import { visible } from '../html.ts';
import { percent, whole } from '../numbers.ts';
import { aligned, type Table } from '../table.ts';
import { favourite, type Favourite } from './favourite.ts';
import { occurrencesOf, spread, type Occurrence } from './occurrences.ts';
import { viewOf, type View } from './view.ts';

/** Contexts shown in text and picture; the CSV and the JSON hold all. */
const SHOWN = 12;

interface Looked {
  readonly id: number;
  readonly piece: string;
  readonly all: readonly Occurrence[];
  readonly favourites: readonly Favourite[];
}

export interface Looking {
  readonly pieceOf: (id: number) => string;
  /** Of the blind draws. */
  readonly seed: number;
}

/** Every distinct id of `tokenIds`, as a text was encoded; ids that the record does not hold say so. Pure. */
export function tokenView(record: RoutingRecord, tokenIds: readonly number[], { pieceOf, seed }: Looking): View {
  const looked = [...new Set(tokenIds)].map((id): Looked => {
    const all = occurrencesOf(record, id);
    const rows = all.map(({ row }) => row);
    return { id, piece: visible(pieceOf(id)), all, favourites: rows.length > 0 ? record.layers.map((layer) => favourite(record, layer, rows, seed)) : [] };
  });
  const textAround = (ids: readonly number[]): string => visible(ids.map(pieceOf).join(''));
  const facts = {
    step: record.step,
    seed,
    tokens: looked.map(({ id, piece, all, favourites }) => ({ id, piece, occurrences: all.length, layers: favourites.map((x) => ({ ...x, together: Number.isNaN(x.together) ? null : x.together })) })),
  };
  return viewOf(looked.map((one) => textOf(record, one, textAround)).join('\n'), dataOf(record, looked, textAround), pictureOf(looked, textAround), facts);
}

type TextAround = (ids: readonly number[]) => string;

const dataOf = (record: RoutingRecord, looked: readonly Looked[], textAround: TextAround): Table => ({
  columns: [
    'token_id', 'token', 'domain', 'sequence', 'position', 'before', 'after',
    ...record.layers.flatMap(({ layer }) => Array.from({ length: record.topK }, (_, k) => [`layer_${layer}_expert_${k + 1}`, `layer_${layer}_kept_${k + 1}`]).flat()),
  ],
  rows: looked.flatMap(({ id, piece, all }) =>
    all.map(({ domain, sequence, position, before, after, experts }) => [
      id, piece, domain, sequence, position, textAround(before), textAround(after), ...experts.flat().flatMap(({ expert, kept }) => [expert, kept]),
    ]),
  ),
});

const pictureOf = (looked: readonly Looked[], textAround: TextAround) =>
  tokenContextsChart(
    `Contexts of ${looked.map(({ piece }) => piece).join(' ')}`,
    looked.flatMap(({ piece, all, favourites }) =>
      spread(all, SHOWN).map(({ domain, before, after, experts }) => ({
        domain,
        before: before.length > 0 ? textAround(before) : '',
        token: piece,
        after: after.length > 0 ? textAround(after) : '',
        experts: experts.map(([first], l) => ({ layer: favourites[l]!.layer, expert: first!.expert, kept: first!.kept, favourite: first!.expert === favourites[l]!.expert })),
      })),
    ),
  );

function textOf(record: RoutingRecord, { id, piece, all, favourites }: Looked, textAround: TextAround): string {
  if (all.length === 0) return `Token ${id} ${piece}: not in the probe set of step ${record.step} (${whole(record.tokens.length)} tokens).\n`;
  const domains = new Set(all.map(({ domain }) => domain)).size;
  const shown = spread(all, SHOWN);
  const fate = ({ expert, kept }: { expert: number; kept: boolean }): string => (kept ? `${expert}` : `${expert}×`);
  const layers = record.layers.map(({ layer }) => `layer ${layer}`);
  const contexts = shown.map(({ domain, before, after, experts }) => [
    domain, before.length > 0 ? textAround(before) : '', piece, after.length > 0 ? textAround(after) : '', ...experts.map((choices) => choices.map(fate).join(' ')),
  ]);
  const summary = favourites.map((x) => [`${x.layer}`, `${x.expert}`, percent(x.share), percent(x.blind), percent(x.together), percent(x.togetherByChance), whole(x.n)]);
  return (
    `Token ${id} ${piece}: ${whole(all.length)} times in ${domains} domains at step ${record.step}.\n\n` +
    `${aligned([['layer', 'expert', 'goes there', 'blind router', 'two agree', 'by chance', 'n'], ...summary], [0, 1, 2, 3, 4, 5, 6])}\n` +
    `${aligned([['domain', 'before', 'token', 'after', ...layers], ...contexts], [1])}` +
    `${all.length > shown.length ? `… ${whole(all.length - shown.length)} more in the CSV.\n` : ''}` +
    `${record.topK} experts a layer in order of preference, × without room. ${NOTE}\n`
  );
}

const NOTE = `Blind router: the most frequent of as many first choices drawn with the loads of all text; a single occurrence always agrees with itself, so read it beside n. Two agree: chance that two occurrences share their first expert.`;
