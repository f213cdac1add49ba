import { beforeAll, describe, expect, test } from 'vitest';
import { rng } from '../base/index.ts';
import { type Tokenizer, trainBpe } from '../text/index.ts';
import type { Batch } from './batch.ts';
import { type Dataset, describeData, prepare, type Source, SPLITS } from './index.ts';

/** Sentences over a domain's own words; every tenth document of `a` is a copy of its neighbour with one word changed. */
function corpus(documents: number): Source {
  const sentence = (domain: string, i: number): string =>
    Array.from({ length: 40 + (i % 30) }, (_, k) => `${domain}${rng(9).at(domain, i).below(400, k).toString(36)}`).join(' ');
  return {
    name: 'test corpus',
    domains: ['a', 'b', 'held'].map((name) => ({ name, licence: 'none', origin: 'this test', heldOut: name === 'held' })),
    async *documents() {
      for (const domain of ['a', 'b', 'held'])
        for (let i = 0; i < documents; i++)
          yield {
            domain,
            text: domain === 'a' && i % 10 === 9 ? sentence(domain, i - 1).replace(/ \S+$/, ' changed') : sentence(domain, i),
          };
    },
  };
}

const S = 32;
const source = corpus(100);
let tokenizer: Tokenizer;
let data: Dataset;
beforeAll(async () => {
  const texts: string[] = [];
  for await (const { text } of source.documents()) texts.push(text);
  tokenizer = await trainBpe(texts, { vocabSize: 400 });
  data = await prepare(source, tokenizer, { length: S, batch: 4 });
});

const rowsOf = (batch: Batch): string[] =>
  Array.from({ length: batch.targets.length / S }, (_, r) => batch.targets.slice(r * S, (r + 1) * S).join());
/** Documents (texts) whose ends a batch holds, cut at row starts. */
const textsOf = (batch: Batch): string[] => rowsOf(batch).flatMap((r) => tokenizerText(r.split(',').map(Number)));
const tokenizerText = (ids: number[]): string[] => {
  const texts: string[] = [];
  for (let from = 0, at = ids.indexOf(1); at >= 0; from = at + 1, at = ids.indexOf(1, from))
    texts.push(tokenizer.decode(ids.slice(from, at)));
  return texts.filter((t) => t.length > 60);
};

describe('the training stream', () => {
  test('is a pure function of (seed, step)', async () => {
    const again = await prepare(corpus(100), tokenizer, { length: S, batch: 4 });
    for (const step of [0, 7, 1000])
      expect(again.trainBatch({ seed: 3, step, batch: 4 })).toEqual(data.trainBatch({ seed: 3, step, batch: 4 }));
    expect(data.trainBatch({ seed: 4, step: 0, batch: 4 })).not.toEqual(data.trainBatch({ seed: 3, step: 0, batch: 4 }));
    expect(again.hash).toBe(data.hash);
  });

  test('reads every row once an epoch, and rowsSeen names exactly the rows read', () => {
    const epoch = Array.from({ length: Math.floor(data.trainRows / 4) }, (_, step) =>
      rowsOf(data.trainBatch({ seed: 3, step, batch: 4 })),
    ).flat();
    expect(new Set(epoch).size).toBe(epoch.length);
    for (const steps of [1, 10, Math.floor(data.trainRows / 4)])
      expect([...data.rowsSeen({ seed: 3, steps, batch: 4 })].flatMap(rowsOf)).toEqual(epoch.slice(0, steps * 4));
    expect([...data.rowsSeen({ seed: 3, steps: 10 * data.trainRows, batch: 4 })].length).toBe(data.trainRows);
  });

  test('is not padded, mixes domains, and holds none that is held out', () => {
    const seen = new Set<number>();
    for (const batch of data.rowsSeen({ seed: 0, steps: data.trainRows, batch: 1 })) {
      expect(batch.weights.every((w) => w === 1)).toBe(true);
      batch.domains.forEach((d) => seen.add(d));
    }
    expect([...seen].sort()).toEqual([0, 1]);
    expect(new Set(data.trainBatch({ seed: 0, step: 0, batch: 8 }).domains).size).toBe(2);
  });
});

test('no text of one side, nor a near-duplicate of it, is on another', () => {
  const first = (text: string): string => text.slice(0, 50);
  const train = new Set(
    [...data.rowsSeen({ seed: 0, steps: data.trainRows, batch: 1 })]
      .flatMap(rowsOf)
      .map((r) => first(tokenizer.decode(r.split(',').map(Number)))),
  );
  const validation = [0, 1].flatMap((d) => rowsOf(data.validationRows(d, Infinity)));
  const probe = rowsOf(data.probeRows({ seed: 0, sequencesPerDomain: 1e6 }));
  for (const row of [...validation, ...probe]) expect(train.has(first(tokenizer.decode(row.split(',').map(Number))))).toBe(false);
  for (const row of probe) expect(validation).not.toContain(row);
  expect(data.nearDuplicates).toBe(10);
});

test('every document of a source is on exactly one side, and sizes add up', async () => {
  let [documents, bytes] = [0, 0];
  for await (const { text } of source.documents()) {
    documents++;
    bytes += Buffer.byteLength(text);
  }
  const sum = (part: 'documents' | 'bytes' | 'tokens'): number =>
    data.counts.reduce((n, c) => n + SPLITS.reduce((m, s) => m + c[part][s], 0), 0);
  expect([sum('documents'), sum('bytes')]).toEqual([documents, bytes]);
  expect(data.counts[2]!.documents).toEqual({ train: 0, validation: 0, probe: 100 });
  expect(data.counts[0]!.documents).toEqual({ train: 70, validation: 15, probe: 15 });
  const tokens = data.counts.reduce((n, c) => n + c.tokens.train, 0);
  expect(data.trainRows).toBe(Math.floor(tokens / S));
});

describe('validation', () => {
  test('fewer rows are the first of more, all of that domain', () => {
    const all = rowsOf(data.validationRows(1, Infinity));
    expect(rowsOf(data.validationRows(1, 5))).toEqual(all.slice(0, 5));
    expect(new Set(all).size).toBe(all.length);
    expect(data.validationRows(1, Infinity).domains.every((d) => d === 1)).toBe(true);
    expect(data.validationRows(1, Infinity).weights.reduce((n, w) => n + w, 0)).toBe(data.counts[1]!.tokens.validation);
  });

  test('a held-out domain has none', () => {
    expect(data.validationRows(2, Infinity).targets.length).toBe(0);
  });
});

describe('the probe', () => {
  const probe = () => data.probeRows({ seed: 5, sequencesPerDomain: 12 });

  test('holds as many sequences of each domain, one segment each, and is a function of its arguments', () => {
    const { segments, domains } = probe();
    expect(Array.from({ length: domains.length / S }, (_, r) => domains[r * S])).toEqual(
      [0, 1, 2].flatMap((d) => Array.from({ length: 12 }, () => d)),
    );
    expect(segments.every((s) => s === 1)).toBe(true);
    expect(data.probeRows({ seed: 5, sequencesPerDomain: 12 })).toEqual(probe());
    expect(data.probeRows({ seed: 6, sequencesPerDomain: 12 })).not.toEqual(probe());
  });

  test('takes different documents before second pieces of one', async () => {
    const starts = new Set<string>();
    for await (const { text } of source.documents()) starts.add(tokenizer.encode(text).slice(0, S).join());
    for (const row of rowsOf(probe())) expect(starts.has(row)).toBe(true);
    expect(new Set(rowsOf(probe())).size).toBe(36);
  });

  test('gives what there is when asked for more, padding what is shorter than a row', () => {
    const whole = data.probeRows({ seed: 5, sequencesPerDomain: 1e6 });
    expect(whole.weights.reduce((n, w) => n + w, 0)).toBe(data.counts.reduce((n, c) => n + c.tokens.probe, 0));
    expect(textsOf(whole)).toBeDefined();
  });
});

test('the hash changes with the text, the row length and the tokenizer', async () => {
  const hashes = [data.hash];
  hashes.push((await prepare(corpus(101), tokenizer, { length: S, batch: 4 })).hash);
  hashes.push((await prepare(source, tokenizer, { length: S + 1, batch: 4 })).hash);
  hashes.push((await prepare(source, await trainBpe(['other text'], { vocabSize: 260 }), { length: S, batch: 4 })).hash);
  expect(new Set(hashes).size).toBe(4);
  for (const h of hashes) expect(h).toMatch(/^[0-9a-f]{16}$/);
});

describe('what cannot be trained on', () => {
  test('less than one batch is refused with what there is and what is asked', async () => {
    await expect(prepare(corpus(3), tokenizer, { length: 128, batch: 64 })).rejects.toThrow(
      /^error\[E_DATA_SMALL\] the training text fills \d+ rows of 128 tokens, one step reads 64 · at test corpus · /,
    );
  });

  test('a single document leaves nothing to validate on', async () => {
    await expect(
      prepare(
        {
          ...corpus(1),
          domains: source.domains.slice(0, 2),
          async *documents() {
            yield { domain: 'a', text: 'word '.repeat(500) };
          },
        },
        tokenizer,
        { length: 8, batch: 1 },
      ),
    ).rejects.toMatchObject({ code: 'E_DATA_SMALL', exit: 4 });
  });

  test('an abort ends it', async () => {
    const reason = new Error('stop');
    const endless: Source = {
      ...source,
      async *documents() {
        for (;;) yield* source.documents();
      },
    };
    await expect(prepare(endless, tokenizer, { length: S, batch: 4, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

test('data.md names each domain with origin, licence, use and exact sizes', () => {
  const text = describeData(data);
  expect(text).toContain('| held | this test | none | held out: probe only |');
  for (const [i, d] of data.domains.entries()) {
    const tokens = SPLITS.map((s) => data.counts[i]!.tokens[s]);
    const total = tokens.reduce((a, b) => a + b);
    expect(text).toMatch(
      new RegExp(
        `\\| ${d.name} \\| 100 \\| [\\d,]+ \\| ${total.toLocaleString('en-US')} \\| \\d\\.\\d\\d \\| ${tokens.map((t) => t.toLocaleString('en-US')).join(' \\| ')} \\|`,
      ),
    );
  }
  expect(text).toContain(data.hash);
});
