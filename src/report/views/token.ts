/** `inspect token`: the same token id in different contexts, and whether it goes to the same experts in all of them. */
import { inColumns } from '../../base/index.ts';
import type { RoutingRecord } from '../../routing/index.ts';
import type { Chart } from '../chart.ts';
import { firstOf, lastOf, tokenContextsChart } from '../charts/token-contexts.ts';
import { unseen, visible } from '../html.ts';
import { percent, whole } from '../numbers.ts';
import { type Table } from '../table.ts';
import { favourite, type Favourite } from './favourite.ts';
import { occurrencesOf, spread, type Occurrence } from './occurrences.ts';
import { viewOf, type View } from './view.ts';

/** Contexts of an id in text and picture, and characters on either side in the text; CSV and JSON hold all. */
const SHOWN = 12;
const SIDE = 28;

interface Looked {
  readonly id: number;
  readonly piece: string;
  readonly all: readonly Occurrence[];
  /** One a layer; none where the record does not hold the id. */
  readonly favourites: readonly Favourite[];
}

export interface Looking {
  readonly pieceOf: (id: number) => string;
  /** Of the blind draws. */
  readonly seed: number;
}

type TextOf = (ids: readonly number[]) => string;

/** Every distinct id of `tokenIds`, as a text was encoded; ids that the record does not hold say so. Pure. */
export function tokenView(record: RoutingRecord, tokenIds: readonly number[], { pieceOf, seed }: Looking): View {
  const textOf: TextOf = (ids) => unseen(ids.map(pieceOf).join(''));
  const looked = [...new Set(tokenIds)].map((id): Looked => {
    const all = occurrencesOf(record, id);
    const rows = all.map(({ row }) => row);
    const favourites = rows.length > 0 ? record.layers.map((layer) => favourite(record, layer, rows, seed)) : [];
    return { id, piece: visible(pieceOf(id)), all, favourites };
  });
  const tokens = looked.map(({ id, piece, all, favourites }) => ({ id, piece, occurrences: all.length, layers: favourites.map(plain) }));
  const text = [...looked.map((one) => printed(record, one, textOf)), `${NOTE}\n`].join('\n');
  return viewOf(text, pictureOf(looked, textOf, dataOf(record, looked, textOf)), { step: record.step, seed, tokens });
}

const plain = ({ togetherByChance, together, ...rest }: Favourite) => ({
  ...rest,
  together: Number.isNaN(together) ? null : together,
  together_by_chance: togetherByChance,
});

const dataOf = (record: RoutingRecord, looked: readonly Looked[], textOf: TextOf): Table => ({
  columns: [
    'token_id',
    'token',
    'domain',
    'sequence',
    'position',
    'before',
    'after',
    ...record.layers.flatMap(({ layer }) =>
      Array.from({ length: record.topK }, (_, k) => [`layer_${layer}_expert_${k + 1}`, `layer_${layer}_kept_${k + 1}`]).flat(),
    ),
  ],
  rows: looked.flatMap(({ id, piece, all }) =>
    all.map(({ domain, sequence, position, before, after, experts }) => [
      id,
      piece,
      domain,
      sequence,
      position,
      textOf(before),
      textOf(after),
      ...experts.flat().flatMap(({ expert, kept }) => [expert, kept]),
    ]),
  ),
});

function pictureOf(looked: readonly Looked[], textOf: TextOf, data: Table): Chart {
  const rows = looked.flatMap(({ piece, all, favourites }) =>
    spread(all, SHOWN).map(({ domain, before, after, experts }) => ({
      domain,
      token: piece,
      before: textOf(before),
      after: textOf(after),
      experts: favourites.map(({ layer, expert }, l) => ({ layer, ...experts[l]![0]!, favourite: experts[l]![0]!.expert === expert })),
    })),
  );
  return tokenContextsChart(`Contexts of ${looked.map(({ piece }) => piece).join(' ')}`, rows, data);
}

function printed(record: RoutingRecord, { id, piece, all, favourites }: Looked, textOf: TextOf): string {
  if (all.length === 0)
    return `Token ${id} ${piece}: not in the probe set of step ${record.step} (${whole(record.tokens.length)} tokens).\n`;
  const domains = new Set(all.map(({ domain }) => domain)).size;
  const shown = spread(all, SHOWN);
  const fate = ({ expert, kept }: Occurrence['experts'][number][number]): string => (kept ? `${expert}` : `${expert}×`);
  const contexts = shown.map(({ domain, before, after, experts }) => [
    domain,
    lastOf(textOf(before), SIDE),
    piece,
    firstOf(textOf(after), SIDE),
    ...experts.map((choices) => choices.map(fate).join(' ')),
  ]);
  const firm = favourites.map((x) => [
    whole(x.layer),
    whole(x.expert),
    percent(x.share),
    percent(x.blind),
    percent(x.together),
    percent(x.togetherByChance),
    whole(x.n),
  ]);
  return (
    `Token ${id} ${piece}: ${whole(all.length)} times in ${domains} domain${domains === 1 ? '' : 's'} at step ${record.step}.\n\n` +
    `${inColumns([['layer', 'expert', 'goes there', 'blind', 'two agree', 'by chance', 'n'], ...firm], { right: [0, 1, 2, 3, 4, 5, 6] })}\n` +
    inColumns([['domain', 'before', '', 'after', ...record.layers.map(({ layer }) => `layer ${layer}`)], ...contexts], { right: [1] }) +
    (all.length > shown.length ? `… ${whole(all.length - shown.length)} more in the CSV.\n` : '')
  );
}

const NOTE = [
  'Experts stand in order of preference, × without room. goes there: share of the first choices; blind: what the most frequent expert of as many',
  'choices would have, drawn with the loads of all text. two agree: how often two of the occurrences share their first expert.',
].join('\n');
