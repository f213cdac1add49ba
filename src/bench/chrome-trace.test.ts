import { expect, test } from 'vitest';
import { chromeTrace } from './chrome-trace.ts';

test('instructions are thread 0 of the trace, engine threads follow, times are microseconds', () => {
  const one = { op: 'product', products: 'f32' as const, shape: '[2]', flops: 8, read: 16, written: 4 };
  const { traceEvents } = chromeTrace({
    threads: 2,
    instructions: [one],
    spans: [
      { thread: 1, instruction: 0, begin_s: 0.001, end_s: 0.0015 },
      { thread: -1, instruction: 0, begin_s: 0, end_s: 0.002 },
    ],
  });
  expect(traceEvents.slice(0, 3).map((e) => (e as { args: { name: string } }).args.name)).toEqual(['instructions', 'thread 1', 'thread 2']);
  expect(traceEvents.slice(3)).toMatchObject([
    { ph: 'X', tid: 2, name: 'product', ts: 1000, dur: 500, args: { shape: '[2]', flops: 8 } },
    { ph: 'X', tid: 0, ts: 0, dur: 2000 },
  ]);
});
