import { expect, test } from 'vitest';
import { bestPeer, readPeers } from './peers.ts';
import type { Row } from './row.ts';

const row: Row = {
  name: 'training step, quick',
  shape: '8×256',
  dtype: 'f32',
  threads: 2,
  median_s: 0.2,
  min_s: 0.19,
  max_s: 0.3,
  runs: 5,
  floor_s: 0.1,
  share: 0.5,
  bound: 'compute',
  peak_gflops: 500,
  read_gb_s: 50,
  update_gb_s: 80,
  tok_per_s: 1000,
  like: { name: 'train_step', config: 'quick' },
};
const line = (facts: object) => ({ peer: 'torch', name: 'train_step', config: 'quick', dtype: 'f32', threads: 2, ...facts });

test('lines that are no measurement are counted, not read', () => {
  const { lines, skipped } = readPeers(`${JSON.stringify(line({ median_ms: 1 }))}\n\nnot json\nnull\n{"peer":1,"name":"x"}\n`);
  expect([lines.length, skipped]).toEqual([1, 3]);
});

test('the best way of the peers counts, and of one way the median of its repetitions', () => {
  const peers = [
    line({ mode: 'f32', compile: 'no', median_ms: 300 }),
    line({ mode: 'f32', compile: 'default', median_ms: 250 }),
    line({ mode: 'f32', compile: 'default', median_ms: 100 }),
    line({ mode: 'f32', compile: 'default', median_ms: 260 }),
  ];
  expect(bestPeer(row, peers)).toEqual({ who: 'torch f32 default', ratio: expect.closeTo(1.25, 9) as number });
});

test('other threads, precisions, configurations and the dense twin are other work', () => {
  for (const other of [{ threads: 1 }, { dtype: 'bf16' }, { config: 'base' }, { experts_by: 'dense' }])
    expect(bestPeer(row, [line({ median_ms: 10, ...other })])).toBeUndefined();
  expect(bestPeer({ ...row, like: { ...row.like, experts_by: 'dense' } }, [line({ median_ms: 10, experts_by: 'dense' })])).toBeDefined();
});

test('rates are compared where a peer gives no time', () => {
  const tokens = line({ tokens_per_s: 500 });
  expect(bestPeer(row, [tokens])?.ratio).toBeCloseTo(2, 9);
  expect(bestPeer({ ...row, dtype: 'int8' }, [{ ...tokens, dtype: 'q8_0' }])?.ratio).toBeCloseTo(2, 9);
});
