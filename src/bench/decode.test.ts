import { expect, test } from 'vitest';
import { openmoe } from '../infer/index.ts';
import { DECODE_MODELS } from './decode.ts';

/** Counted by the peers' script: all weights, and those that multiply a token. */
const PEERS = { '113m': [113.2e6, 23.1e6], '800m': [800e6, 143.1e6] } as const;

test.each(Object.keys(PEERS) as (keyof typeof PEERS)[])(
  'the %s model has as many weights as the peers, and as many active ones',
  (name) => {
    const { counts } = openmoe(DECODE_MODELS[name]);
    const [total, active] = PEERS[name];
    expect(Math.abs(counts.total / total - 1)).toBeLessThan(0.01);
    expect(Math.abs(counts.active / active - 1)).toBeLessThan(0.01);
  },
);
