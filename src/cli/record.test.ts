/** What is kept of training: every number of every step, before anyone else hears of it. */
import { expect, test } from 'vitest';
import type { TrainEvent } from '../train/index.ts';
import { metricsLine, recorded } from './record.ts';

const step: Extract<TrainEvent, { kind: 'step' }> = {
  kind: 'step',
  step: 3,
  loss: 6.5,
  crossEntropy: 6,
  learningRate: 0.01,
  tokens: 24,
  seconds: 0.25,
  layers: [
    {
      layer: 1,
      balanceLoss: 2.5,
      routerZ: 4,
      chosen: Int32Array.of(0, 1, 1, 0, 0, 1, 2, 0),
      gates: Float32Array.of(0.5, 0.25, 0.5, 0.25, 0.5, 0.25, 0.5, 0.25),
      kept: Int32Array.of(1, 1, 1, 1, 0, 1, 1, 0),
    },
  ],
};

test('a metrics line has the documented names', () => {
  expect(metricsLine(step)).toEqual({
    step: 3,
    loss: 6.5,
    cross_entropy: 6,
    learning_rate: 0.01,
    tokens: 24,
    seconds: 0.25,
    layers: [{ layer: 1, balance_loss: 2.5, router_z: 4, dropped: 0.25 }],
  });
});

test('events are on disk before they are passed on, steps in metrics and routing, news in events', async () => {
  const files: Record<string, object[]> = {};
  const run = {
    appender: (name: string) => ({
      append: (line: object) => void (files[name] ??= []).push(line),
      flush() {},
      truncateAfter: () => Promise.resolve(),
      close() {},
    }),
  };
  const news: TrainEvent[] = [
    step,
    { kind: 'validation', step: 3, loss: 5, byDomain: { prose: 5 } },
    { kind: 'saved', step: 3, permanent: true },
  ];
  const heard: TrainEvent[] = [];
  async function* events(): AsyncGenerator<TrainEvent> {
    yield* news;
  }
  for await (const event of recorded(events(), run, { experts: 4, topK: 2, buckets: 2, sequenceLength: 4 })) {
    heard.push(event);
    expect((files['metrics.jsonl']?.length ?? 0) + (files['events.jsonl']?.length ?? 0)).toBe(heard.length);
  }
  expect(heard).toEqual(news);
  expect(files['routing/steps.jsonl']).toEqual([
    {
      step: 3,
      layer: 1,
      balanceLoss: 2.5,
      routerZ: 4,
      load: [
        [2, 1, 1, 0],
        [2, 2, 0, 0],
      ],
      kept: [2, 3, 1, 0],
      gateMass: [1.5, 1, 0.5, 0].map((m) => expect.closeTo(m, 6) as number),
      slotsByPosition: [4, 4],
      keptByPosition: [4, 2],
      dropped: 2,
      loadEntropy: expect.closeTo(1.40564, 4) as number,
    },
  ]);
  expect(files['events.jsonl']).toMatchObject([
    { kind: 'validation', step: 3, loss: 5 },
    { kind: 'saved', step: 3 },
  ]);
});
