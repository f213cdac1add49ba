/** Who the experts are, at the last checkpoint: load, domain polygons, strongest tokens, deviations. */
import { shares, type LayerTables } from '../../routing/index.ts';
import { deviationByPositionChart, deviationByTokenChart } from '../charts/deviation.ts';
import { loadChart } from '../charts/load.ts';
import { polygonsChart } from '../charts/polygons.ts';
import { html, visible, type Markup } from '../html.ts';
import { decimal, percent, whole } from '../numbers.ts';
import { dataOf, figures, section, table } from './parts.ts';

interface Commands {
  readonly load: string;
  readonly all: string;
}

type PieceOf = (id: number) => string;

export function expertsSection(layers: readonly LayerTables[], pieceOf: PieceOf, commands: Commands): Markup {
  const loads = layers.map(({ load }) => load);
  return section(
    'experts',
    'Experts',
    figures([loadChart(loads)], commands.load),
    balanceTable(layers),
    html`<h3>Domains</h3>
      <p>
        How each domain spreads over the experts, kept slots of all ranks unweighted by gate, as in the paper's Figures 5 to 8. A domain
        that looks like the dashed polygon has no experts of its own.
      </p>`,
    figures(
      layers.map(({ layer, polygons, pooledPolygon }) => polygonsChart(layer, polygons, pooledPolygon)),
      commands.all,
    ),
    html`<h3>Strongest tokens</h3>
      <p>
        The token ids that fill each expert most, with their kept slots in this expert of those in all experts. ␣ is a blank, ⏎ a line
        break, ‹…› a character that cannot be seen.
      </p>`,
    ...layers.map((layer) => strongestTable(layer, pieceOf)),
    html`<h3>Deviation</h3>
      <p>
        How unevenly a position or a token id spreads over the experts. The dashed line is what a router blind to it, with the same loads,
        shows at that very number of slots: dots on the line are noise. By position the paper's values lie on it; by token id they lie above
        it.
      </p>`,
    figures(
      layers.flatMap(({ layer, deviationByPosition, deviationByToken }) => [
        deviationByPositionChart(layer, deviationByPosition),
        ...(deviationByToken.length > 0 ? [deviationByTokenChart(layer, deviationByToken, (id) => visible(pieceOf(id)))] : []),
      ]),
      commands.all,
    ),
    ...layers
      .filter(({ deviationByToken }) => deviationByToken.length === 0)
      .map(
        ({ layer }) =>
          html`<p class="note">Layer ${layer}: no token id has more than 128 kept slots, so there is no deviation by token id.</p>`,
      ),
  );
}

const balanceTable = (layers: readonly LayerTables[]): Markup =>
  table(
    'Balance of the first and second choices together at the last checkpoint',
    ['layer', 'heaviest ÷ even', 'entropy, bits', 'share of even entropy', 'never chosen', 'slots'].map((name, c) => ({
      name,
      right: c > 0,
    })),
    layers.map(({ layer, load: { balance, dead } }) => [
      layer,
      decimal(balance.heaviest),
      decimal(balance.bits),
      percent(balance.evenness),
      dead.length === 0 ? 'none' : dead.join(', '),
      whole(balance.slots),
    ]),
  );

function strongestTable({ layer, load, strongest }: LayerTables, pieceOf: PieceOf): Markup {
  const kept = shares(load.kept);
  const token = ({ token: id, count, of }: LayerTables['strongest'][number][number]): Markup =>
    html`<bdi class="token">${visible(pieceOf(id))}</bdi> <span class="quiet">${count}/${of}</span> `;
  return html`${table(
    `Strongest tokens of layer ${layer}`,
    [{ name: 'expert', right: true }, { name: 'kept slots', right: true }, { name: 'tokens' }],
    strongest.map((tokens, e) => [e, percent(kept[e]), tokens.length > 0 ? html`${tokens.map(token)}` : 'none']),
  )}${dataOf(`Strongest tokens of layer ${layer}`, {
    columns: ['layer', 'expert', 'rank', 'token_id', 'token', 'kept_here', 'kept_anywhere'],
    rows: strongest.flatMap((tokens, e) =>
      tokens.map(({ token: id, count, of }, rank) => [layer, e, rank + 1, id, visible(pieceOf(id)), count, of]),
    ),
  })}`;
}
