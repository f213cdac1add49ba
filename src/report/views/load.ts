/** `inspect load`: how often each expert of each layer was chosen, against an even load.   E experts. */
import { inColumns } from '../../base/index.ts';
import { layerLoad, type LayerLoad, type RoutingRecord } from '../../routing/index.ts';
import { loadCells, loadChart } from '../charts/load.ts';
import { decimal, percent, whole } from '../numbers.ts';
import { bar } from '../table.ts';
import { viewOf, type View } from './view.ts';

const BAR = 12;

/** One row an expert, one pair of columns a layer; pure in the record. */
export function loadView(record: RoutingRecord): View {
  const loads = record.layers.map((layer) => layerLoad(record, layer));
  const layers = loads.map((load) => ({ layer: load.layer, ...load.balance, dead: load.dead, dropped: droppedShare(record, load) }));
  return viewOf(textOf(record, loads), loadChart(loads), {
    step: record.step,
    tokens: record.tokens.length,
    experts: record.experts,
    top_k: record.topK,
    layers,
  });
}

const droppedShare = (record: RoutingRecord, { kept }: LayerLoad): number =>
  1 - kept.reduce((a, b) => a + b, 0) / (record.tokens.length * record.topK);

function textOf(record: RoutingRecord, loads: readonly LayerLoad[]): string {
  const { experts, topK, tokens, step } = record;
  const cells = loadCells(loads);
  const most = Math.max(...cells.map(({ share }) => share));
  const line = (name: string, of: (load: LayerLoad) => string): string[] => [name, ...loads.flatMap((load) => ['', of(load)])];
  const rows = [
    ['expert', ...loads.flatMap(({ layer }) => [`layer ${layer}`, ''])],
    ...Array.from({ length: experts }, (_, e) => [
      `${e}`,
      ...loads.flatMap((_load, l) => {
        const { share } = cells[l * experts + e]!;
        return [bar(share / most, BAR), percent(share)];
      }),
    ]),
    line('heaviest ÷ even', ({ balance }) => decimal(balance.heaviest)),
    line('entropy, bits', ({ balance }) => decimal(balance.bits)),
    line('dropped', (load) => percent(droppedShare(record, load))),
    line('never chosen', ({ dead }) => (dead.length > 0 ? dead.join(',') : 'none')),
  ];
  return (
    `Load at step ${step}: share of ${whole(tokens.length * topK)} slots (${whole(tokens.length)} tokens, top ${topK}) that chose each of ${experts} experts.\n` +
    `Even: ${percent(1 / experts)}, ${decimal(Math.log2(experts))} bits.\n\n${inColumns(rows, { right: [0, ...loads.map((_, l) => 2 + 2 * l)] })}`
  );
}
