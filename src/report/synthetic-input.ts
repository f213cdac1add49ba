/** A run that never was, for tests: two MoE layers over synthetic text, one that settles early and one that settles late. */
import { rng } from '../base/index.ts';
import {
  analyse,
  late,
  recordOf,
  settles,
  sumStep,
  syntheticText,
  tokenRouterAt,
  type Findings,
  type RoutingRecord,
  type TextShape,
} from '../routing/index.ts';
import type { ReportInput } from './input.ts';

const SHARES = [0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.2, 0.35, 0.5, 1];
const BUCKETS = 16;
const LAYERS = [
  { layer: 3, trajectory: settles(0.05, 1) },
  { layer: 7, trajectory: late(0.9, 1) },
];

export interface RunShape extends TextShape {
  readonly experts: number;
}

/** One record a checkpoint; the last domain is held out, a group is a sequence. */
export function syntheticRecords({ experts, ...shape }: RunShape): RoutingRecord[] {
  const text = syntheticText(shape);
  return SHARES.map((share): RoutingRecord => {
    const records = LAYERS.map(({ trajectory }, l) =>
      recordOf(text, tokenRouterAt(text, trajectory, share, { experts, seed: shape.seed + l }), {
        experts,
        topK: 2,
        capacityFactor: 1,
        sequencesPerGroup: 1,
        priority: 'in order',
        heldOut: [`domain-${shape.domains - 1}`],
        share,
      }),
    );
    return { ...records[0]!, layers: records.map(({ layers: [only] }, l) => ({ ...only!, layer: LAYERS[l]!.layer })) };
  });
}

const LOSSES = { start: 8.2, end: 4.6 };
const lossAt = (share: number): number => LOSSES.end + (LOSSES.start - LOSSES.end) * Math.exp(-6 * share);

/** Text with what corpora have in them: markup, controls, blanks, other scripts. */
export const PIECES = [
  ' the',
  '<script>alert(1)</script>',
  '&amp;',
  '\n',
  '"',
  "'",
  '\u0000',
  '\u202e',
  '語',
  'שלום',
  ']]>',
  '\ud800',
  '',
  '-->',
];
export const pieceOf = (id: number): string => PIECES[id] ?? ` token-${id}`;

export function syntheticInput(records: readonly RoutingRecord[], trainCapacity: number): ReportInput & { readonly findings: Findings } {
  const last = records.at(-1)!;
  const noise = rng(1).at('loss');
  const domains = last.domains;
  return {
    run: { id: '2026-11-25-otter', dir: 'runs/2026-11-25-otter' },
    recipe: { model: { experts: last.experts, topK: 2 }, train: { steps: 1000, seed: 1 } },
    environment: { openmoe: '0.1.0', cpu: { model: 'Test & Sons <CPU>', threads: 2 }, argv: ['quickstart', '--seed', '1'] },
    params: { total: 5_120_000, active: 1_640_000 },
    steps: 1000,
    tokens: 2_048_000,
    seconds: 118.2,
    metrics: Array.from({ length: 1000 }, (_, i) => ({
      step: i + 1,
      tokens: (i + 1) * 2048,
      crossEntropy: lossAt(i / 1000) + 0.2 * noise.normal(i),
    })),
    validation: SHARES.map((share) => ({
      step: share * 1000,
      tokens: share * 2_048_000,
      loss: lossAt(share) + 0.1,
      byDomain: Object.fromEntries(domains.map((name, d) => [name, lossAt(share) + 0.1 + 0.2 * (d - 1)])),
    })),
    baselines: { unigram: 7.3, bigram: 4.9 },
    findings: analyse(records, { seed: 7, trainCapacity, notes: SHARES.map((share) => ({ loss: lossAt(share), update: 0.1 })) }),
    stepRouting: records.map((record) => ({
      step: record.step,
      layers: record.layers.map(({ layer, chosen, gates, kept }) => ({
        layer,
        balanceLoss: 2.2,
        routing: sumStep(chosen, gates, kept, {
          experts: record.experts,
          topK: 2,
          buckets: BUCKETS,
          sequenceLength: record.position.at(-1)! + 1,
        }),
      })),
    })),
    pieceOf,
    samples: [{ prompt: 'Once <b>upon</b>', text: ' a time\n\nthere was </pre><script>alert(2)</script> שלום\u0007' }],
    data: domains.map((domain, d) => ({
      domain,
      origin: `https://example.org/${d}?a=1&b=2`,
      licence: 'CC-BY-4.0',
      heldOut: last.heldOut.includes(domain),
      documents: 120 + d,
      bytes: 1_500_000,
      tokens: { train: 400_000, validation: 20_000, probe: 10_000 },
    })),
    commands: [
      { what: 'the whole run', command: 'openmoe quickstart --seed 1' },
      { what: 'this report', command: 'openmoe report 2026-11-25-otter' },
    ],
  };
}
