/** `inspect drops`: who found no room, by position, as recorded (replay a record first to see it at another capacity). */
import { inColumns } from '../../base/index.ts';
import { dropTowardsTheEnd, type DropLayer, type EndDrops, type Estimate, type RoutingRecord } from '../../routing/index.ts';
import { binsOf } from '../charts/drops.ts';
import { layeredDropsChart } from '../charts/layered-drops.ts';
import { decimal, percent, range, whole } from '../numbers.ts';
import { bar } from '../table.ts';
import { viewOf, type View } from './view.ts';

const BAR = 16;
/** Lines of the curve in the text; the CSV has all bins. */
const LINES = 16;

/** Curves by position in the group of every layer, with ratio, drift, order and shift; pure in (record, seed of the resamples). */
export function dropsView(record: RoutingRecord, seed: number): View {
  const layers = record.layers.map((layer) => dropTowardsTheEnd(record, layer, seed));
  const facts = { step: record.step, seed, layers: layers.map(factsOf) };
  const text = `Drops at step ${record.step}, ${whole(record.tokens.length)} tokens, seed ${seed}.\n${layers.map(textOf).join('')}`;
  return viewOf(text, layeredDropsChart(layers), facts);
}

const finite = (x: number): number | null => (Number.isFinite(x) ? x : null);
const plain = ({ value, low, high, chance, n }: Estimate) => ({
  value: finite(value),
  low: finite(low),
  high: finite(high),
  chance: finite(chance),
  n,
});

const factsOf = ({ layer, capacity, verdict, reason, drop, lossFreeFactor, byGroup, bySequence, shift }: DropLayer) => ({
  layer,
  capacity,
  verdict,
  reason,
  drop: plain(drop),
  loss_free_factor: finite(lossFreeFactor),
  by_group: numbersOf(byGroup),
  by_sequence: numbersOf(bySequence),
  ...(shift && { shift: plain(shift) }),
});

const numbersOf = ({ ratio, drift, order, dropped }: EndDrops) => ({
  ratio: plain(ratio),
  drift: plain(drift),
  order: plain(order),
  dropped,
});

function textOf({ layer, capacity, verdict, reason, drop, byGroup, shift, lossFreeFactor }: DropLayer): string {
  const { curve, ratio, drift, order } = byGroup;
  const bins = thinned(binsOf(curve.pooled), LINES);
  const most = Math.max(...bins.map(({ rate }) => rate), 0);
  const rows = bins.map(({ place, rate }) => [percent(place), most > 0 ? bar(rate / most, BAR) : '', percent(rate)]);
  const line = (name: string, x: Estimate, unit: string): string[] => [
    name,
    decimal(x.value),
    `[${range(x)}]`,
    `chance ${decimal(x.chance)}`,
    `n = ${whole(x.n)} ${unit}`,
  ];
  const numbers = [
    line('last ÷ first quarter', ratio, 'groups'),
    line('without order (drift)', drift, 'groups'),
    line('by order', order, 'groups'),
    shift ? line('held-out ÷ trained', shift, 'groups') : ['held-out ÷ trained', '–', 'no held-out domain in groups of its own'],
  ];
  return (
    `\nLayer ${layer}, capacity ${capacity} slots an expert and group: ${percent(drop.value)} dropped (n = ${whole(drop.n)} slots; none from capacity factor ${decimal(lossFreeFactor)} on)\n` +
    `drop towards the end: ${verdict}, ${reason}\n\n${inColumns([['position', '', 'dropped'], ...rows], { right: [0, 2] })}\n${inColumns(numbers, { right: [1] })}`
  );
}

/** Means of neighbours, until at most `most` are left. */
function thinned(bins: readonly { readonly place: number; readonly rate: number }[], most: number): { place: number; rate: number }[] {
  const width = Math.max(1, Math.ceil(bins.length / most));
  const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;
  return Array.from({ length: Math.ceil(bins.length / width) }, (_, i) => {
    const some = bins.slice(i * width, (i + 1) * width);
    return { place: mean(some.map(({ place }) => place)), rate: mean(some.map(({ rate }) => rate)) };
  });
}
