/** The progress display: its numbers, its widths, and that it leaves the terminal as it was. */
import fc from 'fast-check';
import stringWidth from 'string-width';
import { describe, expect, test } from 'vitest';
import type { LayerNews, TrainEvent } from '../train/index.ts';
import { openLiveRegion } from './live-region.ts';
import { frame, plainLine } from './progress-frame.ts';
import { advance, initialState, type ProgressState, speed } from './progress-state.ts';
import { watch } from './progress.ts';
import { fit, type Span } from './span.ts';
import { openTerminal } from './terminal.ts';

const shape = { experts: 4, topK: 2, buckets: 4, sequenceLength: 4 };

const start: TrainEvent = {
  kind: 'start',
  step: 10,
  steps: 50,
  params: { total: 1000, active: 400 },
  flopsPerStep: 6e9,
  tokensPerStep: 4,
  memory: { parameters: 1, optimizer: 1, arena: 1 },
};
/** Four tokens; expert 3 is never chosen, and of the eight slots two found no room. */
const layer: LayerNews = {
  layer: 1,
  balanceLoss: 2.25,
  routerZ: 3,
  chosen: Int32Array.of(0, 1, 0, 2, 1, 0, 2, 0),
  gates: new Float32Array(8).fill(0.25),
  kept: Int32Array.of(1, 1, 1, 1, 1, 0, 1, 0),
};
const step = (n: number, more: Partial<Extract<TrainEvent, { kind: 'step' }>> = {}): TrainEvent => ({
  kind: 'step',
  step: n,
  loss: 6,
  crossEntropy: 5,
  learningRate: 0.01,
  tokens: n * 4,
  seconds: 0.5,
  layers: [layer],
  ...more,
});

const after = (events: readonly (readonly [ms: number, event: TrainEvent])[], peak?: number): ProgressState =>
  events.reduce((state, [now, event]) => advance(state, event, { now, shape }), initialState(0, peak));

describe('numbers', () => {
  const state = after(
    [
      [1000, start],
      [1500, step(11)],
      [3000, step(12)],
    ],
    2e10,
  );

  test('speed is that of recent steps; its share is of the peak given', () => {
    expect(speed(state)).toMatchObject({ tokensPerSecond: 8, share: 6e9 / 0.5 / 2e10 });
    expect(
      speed(
        after([
          [0, start],
          [1, step(11)],
        ]),
      )?.share,
    ).toBeUndefined();
  });

  test('the time left counts what happens between steps, and only the steps of this session', () => {
    expect(speed(state)!.eta).toBeCloseTo((2 / 2) * 38); // two steps in two seconds by the clock, 38 to go
  });

  test('the curve of a long run keeps a bounded number of means', () => {
    const { points, steps } = after(Array.from({ length: 5000 }, (_, i) => [i, step(i + 1, { crossEntropy: i + 1 })] as const)).curve;
    expect(points.length).toBeLessThanOrEqual(1024);
    expect(points.slice(0, -1)).toEqual(points.slice(0, -1).map((_, i) => i * steps + (steps + 1) / 2));
    expect(points.length * steps).toBeGreaterThanOrEqual(5000);
  });
  test('a layer shows dropped slots as a share, experts that nobody chose, and the entropy of its load', () => {
    const loads = [4, 2, 2, 0].map((n) => n / 8);
    const bits = loads.reduce((sum, p) => sum - (p > 0 ? p * Math.log2(p) : 0), 0);
    expect(state.layers).toEqual([
      { layer: 1, balanceLoss: 2.25, dropped: 0.25, dead: 1, experts: 4, entropy: expect.closeTo(bits, 12) as number, evenEntropy: 2 },
    ]);
  });
});

describe('frame', () => {
  test('no line is wider than it may be, whatever happens', () => {
    const number = fc.oneof(fc.double(), fc.constantFrom(0, NaN, Infinity, 1e12));
    const events = fc.array(
      fc.oneof(
        fc
          .record({ n: fc.nat(1e7), crossEntropy: number, learningRate: number, seconds: fc.double({ min: 1e-6, max: 1e6, noNaN: true }) })
          .map(({ n, ...e }) => step(n, e)),
        fc.record({ n: fc.nat(1e7), loss: number }).map(({ n, loss }): TrainEvent => ({ kind: 'validation', step: n, loss, byDomain: {} })),
        fc.constant<TrainEvent>({ kind: 'saved', step: 7, permanent: true }),
      ),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(events, fc.integer({ min: 0, max: 200 }), (list, width) => {
        const lines = frame(after([[0, start], ...list.map((e, i) => [i, e] as const)], 1e10), width);
        for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(Math.max(1, width));
      }),
      { numRuns: 300 },
    );
  });

  test('wide characters are cut between, never through', () => {
    const spans: Span[] = [['日本', 'bold'], ['👩‍👩‍👧 family'], ['é́']];
    for (let width = 0; width < 20; width++) {
      const line = fit(spans, width);
      expect(stringWidth(line)).toBeLessThanOrEqual(width);
      expect(spans.map(([text]) => text).join('')).toContain(line);
    }
  });

  test('shows step, share, time left, losses, speed, share of peak, and each layer', () => {
    const validation: TrainEvent = { kind: 'validation', step: 11, loss: 5.5, byDomain: {} };
    const text = frame(
      after(
        [
          [0, start],
          [500, step(11)],
          [600, validation],
          [1000, step(12, { crossEntropy: 4.5 })],
        ],
        2e10,
      ),
      200,
    ).join('\n');
    for (const part of [
      'step 12/50',
      '24%',
      '19s left',
      'loss 4.500',
      '█▁',
      'validation 5.500 (step 11)',
      '0.0100',
      '8 tok/s',
      '60% of peak',
      'layer 1',
      'balance 2.250',
      'dropped 25%',
      'dead 1/4',
      'entropy 1.50/2.00 bits',
    ])
      expect(text).toContain(part);
  });
});

test('a plain line is key=value without anything unknown', () => {
  const line = plainLine(
    after([
      [0, start],
      [500, step(11)],
    ]),
  );
  for (const pair of line.split(' ')) expect(pair).toMatch(/^[a-z_0-9.]+=[-+.e\d]+$/);
  expect(line).toContain('loss=5 ');
  expect(line).not.toContain('val_loss');
});

/** Enough of a terminal to see what a person would: text, cursor up, carriage return, clear below, cursor on and off. */
function screenOf(written: string, columns: number): { rows: string[]; cursor: boolean } {
  const rows: string[] = [''];
  let [row, column, cursor] = [0, 0, true];
  for (const [token, up] of [...written.matchAll(/\x1b\[(\d+)A|\x1b\[J|\x1b\[\?25[lh]|[\s\S]/g)].map((m) => [m[0], m[1]] as const)) {
    if (up) row = Math.max(0, row - Number(up));
    else if (token === '\x1b[J') {
      rows.length = row + 1;
      rows[row] = rows[row]!.slice(0, column);
    } else if (token.startsWith('\x1b[?25')) cursor = token.endsWith('h');
    else if (token === '\r') column = 0;
    else {
      if (token === '\n' || column === columns) {
        [row, column] = [row + 1, 0];
        rows[row] ??= '';
      }
      if (token === '\n') continue;
      rows[row] = rows[row]!.slice(0, column) + token + rows[row]!.slice(column + 1);
      column++;
    }
  }
  return { rows: rows.filter((r) => r !== ''), cursor };
}

describe('live region', () => {
  const recorder = (columns: number, rows = 24) => {
    const sink = { text: '', columns, rows, isTTY: true, write: (text: string) => void (sink.text += text) };
    return sink;
  };

  test('shows only the last lines drawn, also after the terminal became narrower, and gives the cursor back', () => {
    const sink = recorder(20);
    const region = openLiveRegion(sink, () => () => {});
    region.draw(['aaaaaaaaaaaaaaaaaa', 'b']);
    expect(screenOf(sink.text, 20)).toEqual({ rows: ['aaaaaaaaaaaaaaaaaa', 'b'], cursor: false });
    region.draw(['c', 'd', 'e']);
    region.draw(['f']);
    expect(screenOf(sink.text, 20).rows).toEqual(['f']);
    region.close();
    expect(screenOf(sink.text, 20)).toEqual({ rows: ['f'], cursor: true });

    const narrowed = recorder(20);
    const other = openLiveRegion(narrowed, () => () => {});
    other.draw(['123456789012345678']);
    narrowed.text =
      screenOf(narrowed.text, 8)
        .rows.join('')
        .replace(/(.{8})/g, '$1\n') + '\n'; // as the terminal reflows it
    narrowed.columns = 8;
    other.draw(['g']);
    expect(screenOf(narrowed.text, 8).rows).toEqual(['g']);
  });

  test('talk scrolls by above it', () => {
    const sink = recorder(20);
    const region = openLiveRegion(sink, () => () => {});
    region.draw(['a', 'b']);
    region.say('stopping');
    region.draw(['c', 'd']);
    expect(screenOf(sink.text, 20).rows).toEqual(['stopping', 'c', 'd']);
  });

  test('draws no more lines than the terminal has rows for', () => {
    const sink = recorder(20, 3);
    openLiveRegion(sink, () => () => {}).draw(['1', '2', '3', '4']);
    expect(screenOf(sink.text, 20).rows).toEqual(['1', '2']);
  });

  test('gives the cursor back when the process ends in between', () => {
    const sink = recorder(20);
    let exit = (): void => {};
    const region = openLiveRegion(sink, (restore) => ((exit = restore), () => {}));
    region.draw(['x']);
    exit();
    expect(screenOf(sink.text, 20).cursor).toBe(true);
    const length = sink.text.length;
    region.close();
    expect(sink.text).toHaveLength(length);
  });
});

describe('watch', () => {
  const streams = (isTTY: boolean) => {
    const sink = () => {
      const s = { text: '', isTTY, columns: 80, rows: 24, write: (text: string) => void (s.text += text) };
      return s;
    };
    return { out: sink(), err: sink(), input: (async function* () {})(), env: {} };
  };
  async function* events(list: readonly TrainEvent[], failure?: Error): AsyncGenerator<TrainEvent> {
    yield* list;
    if (failure) throw failure;
  }
  const hundred = [start, ...Array.from({ length: 40 }, (_, i) => step(11 + i)), { kind: 'finished', step: 50 } satisfies TrainEvent];

  test('in a log: the first step, then one line every few seconds, no cursor moves', async () => {
    const host = streams(false);
    let now = 0;
    const state = await watch(events(hundred), {
      terminal: openTerminal(host, { form: 'text', verbosity: 0 }),
      shape,
      peak: undefined,
      clock: () => (now += 1000),
    });
    expect(state).toMatchObject({ step: 50, ending: 'finished' });
    const lines = host.err.text.trimEnd().split('\n');
    expect(lines.filter((l) => l.startsWith('step='))).toHaveLength(8);
    expect(lines[0]).toMatch(/^start /);
    expect(lines.at(-1)).toBe('finished step=50');
    expect(host.err.text).not.toContain('\x1b');
    expect(host.out.text).toBe('');
  });

  test('--jsonl prints every event as one JSON value a line', async () => {
    const host = streams(false);
    await watch(events(hundred), { terminal: openTerminal(host, { form: 'jsonl', verbosity: 0 }), shape, peak: undefined, clock: () => 0 });
    const lines = host.out.text
      .trimEnd()
      .split('\n')
      .map((l) => JSON.parse(l) as { event: string });
    expect(lines.map((l) => l.event)).toEqual(hundred.map((e) => e.kind));
  });

  test('on a terminal: the last state stands at the end and the cursor is back, also when training fails', async () => {
    for (const failure of [undefined, new Error('diverged')]) {
      const host = streams(true);
      const watching = watch(events(hundred, failure), {
        terminal: openTerminal({ ...host, env: { NO_COLOR: '1' } }, { form: 'text', verbosity: 0 }),
        shape,
        peak: undefined,
        clock: () => 0,
      });
      if (failure) await expect(watching).rejects.toThrow('diverged');
      else await watching;
      const { rows, cursor } = screenOf(host.err.text, 80);
      expect(cursor).toBe(true);
      expect(rows[0]).toContain('step 50/50');
      expect(rows).toHaveLength(4);
    }
  });
});
