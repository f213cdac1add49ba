/** Finding 1 on real text: the table of verdicts holds for synthetic routers over it. Skipped where the shared corpus is absent. */
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { contextsOf } from './bits.ts';
import { probeOf } from './probe.ts';
import { specialization } from './specialization.ts';
import { CASES } from './synthetic-cases.ts';
import { linearRouter, recordOf, type Router } from './synthetic.ts';
import type { Text } from './synthetic-text.ts';

const corpus = new URL(
  'corpus/',
  process.env['OPENMOE_SHARED'] ? `file://${process.env['OPENMOE_SHARED']}/` : new URL('../../../shared/', import.meta.url),
);
const FILES = [
  'arxiv/olmoe-arxiv',
  'book/leo-tolstoy_war-and-peace_louise',
  'c4/olmoe-c4',
  'instruct/gpteacher-codegen',
  'parallel/osguide.de',
  'parallel/osguide.fr',
  'parallel/osguide.es',
  'stackexchange/quantumcomputing',
  'wikipedia/wikitext2-valid',
];
const SHAPE = { experts: 16, topK: 1, capacityFactor: 2, sequencesPerGroup: 1, priority: 'in order' } as const;
const present = existsSync(corpus);
if (!present) console.log(`skipped: no corpus at ${corpus.pathname}`);

/** Pieces of words of at most five letters, digits and signs; pieces seen once become one id. */
function realText({ sequences, length }: { readonly sequences: number; readonly length: number }): Text {
  const pieces = FILES.flatMap((file, domain) => {
    const lines = gunzipSync(readFileSync(new URL(`${file}.jsonl.gz`, corpus)))
      .toString()
      .split('\n')
      .filter(Boolean);
    const words = lines.flatMap((line) => (JSON.parse(line) as { text: string }).text.match(/\p{L}{1,5}|\p{N}|[^\s\p{L}\p{N}]/gu) ?? []);
    const apart = Math.floor(words.length / sequences);
    return Array.from({ length: sequences }, (_, s) => ({ domain, words: words.slice(s * apart, s * apart + length) }));
  });
  const counts = new Map<string, number>();
  for (const word of pieces.flatMap(({ words }) => words)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const ids = new Map([...counts].filter(([, count]) => count > 1).map(([word], i) => [word, i + 1]));
  const flat = (of: (s: number, p: number) => number): Int32Array =>
    Int32Array.from({ length: pieces.length * length }, (_, n) => of(Math.floor(n / length), n % length));
  return {
    domains: FILES,
    tokens: flat((s, p) => ids.get(pieces[s]!.words[p]!) ?? 0),
    sequence: flat((s) => s),
    position: flat((_, p) => p),
    domain: flat((s) => pieces[s]!.domain),
  };
}

describe.skipIf(!present)('context-independent specialization on real text', () => {
  const text = present ? realText({ sequences: 16, length: 256 }) : undefined;
  const judged = (router: (text: Text) => Router) => {
    const record = recordOf(text!, router(text!), SHAPE);
    const probe = probeOf(record);
    return specialization(record, record.layers[0]!, { probe, contexts: contextsOf(probe) });
  };

  test.each(CASES)('$about: $contextIndependent', ({ router, contextIndependent }) => {
    expect(judged((t) => router(t, { experts: 16, seed: 1 })).verdict).toBe(contextIndependent);
  });

  test('a linear router that weighs its context with 0.5 is mixed, with 0.8 fails', () => {
    expect(judged((t) => linearRouter(t, 0.5, { experts: 16, seed: 1 })).verdict).toBe('mixed');
    expect(judged((t) => linearRouter(t, 0.2, { experts: 16, seed: 1 })).verdict).toBe('fails');
  });
});
