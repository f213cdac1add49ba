/** The lattice's sums against all ways to cut a word, spelled out. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Alphabet, alphabetOf } from './characters.ts';
import { type Corpus, layOut } from './corpus.ts';
import { maximiser } from './expectation-maximiser.ts';
import { bestPathCounts, expectations, type Lattice } from './lattice.ts';
import { TRAINER_DEFAULTS, type TrainerOptions } from './options.ts';
import { seedPieces } from './seeds.ts';
import { sortSuffixes } from './suffixes.ts';

const options: TrainerOptions = { ...TRAINER_DEFAULTS, characterCoverage: 1, maxSentencepieceLength: 5 };

async function seeded(words: readonly (readonly [string, number])[], changes: Partial<TrainerOptions> = {}) {
  const counts = new Map(words);
  const all = { ...options, ...changes };
  const alphabet = alphabetOf(counts, all);
  // Words of even count are last of a line now and then.
  const last = new Map(words.map(([word, count]) => [word, count % 2 === 0 ? 1 : 0]));
  const corpus = layOut({ counts, last }, alphabet, all);
  return { alphabet, corpus, ...(await seedPieces(corpus, alphabet, { options: all, breathe: () => false })) };
}

const spelled = (text: Int32Array, { characters }: Alphabet): string => Array.from(text, (s) => characters[s]!).join('');
const wordList = fc.uniqueArray(
  fc.tuple(
    fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 9 }).map((letters) => letters.join('')),
    fc.integer({ min: 1, max: 9 }),
  ),
  { minLength: 1, maxLength: 12, selector: ([word]) => word },
);

/** Every way to cut a word, as ids; a word by the nodes of its positions. */
function cuts({ nodes, ids, lengths }: Lattice, from: number, to: number): number[][] {
  if (from === to) return [[]];
  const found: number[][] = [];
  for (let k = nodes[from]!; k < nodes[from + 1]!; k++)
    for (const rest of cuts({ nodes, ids, lengths } as Lattice, from + lengths[k]!, to)) found.push([ids[k]!, ...rest]);
  return found;
}

test('suffixes are in the order of their first characters, and know what they share', () => {
  fc.assert(
    fc.property(wordList, fc.integer({ min: 1, max: 6 }), (words, depth) => {
      const counts = new Map(words);
      const alphabet = alphabetOf(counts, options);
      const { text } = layOut({ counts, last: counts }, alphabet, options);
      const { order, shared, left } = sortSuffixes(text, depth);
      const beginning = (i: number, most: number): string =>
        Array.from(text.subarray(i, i + Math.min(most, left[i]!)), (s) => String.fromCharCode(s)).join('');
      expect(order.length).toBe(text.filter((s) => s > 1).length);
      for (let k = 1; k < order.length; k++) {
        const [a, b] = [beginning(order[k - 1]!, depth), beginning(order[k]!, depth)];
        expect(a <= b).toBe(true);
        const [longA, longB] = [beginning(order[k - 1]!, depth + 1), beginning(order[k]!, depth + 1)];
        let n = 0;
        while (n < longA.length && longA[n] === longB[n]) n++;
        expect(shared[k]).toBe(n);
      }
    }),
  );
});

describe('seeds', () => {
  test('are the substrings that occur twice and are not always followed by the same, with their occurrences', async () => {
    await fc.assert(
      fc.asyncProperty(wordList, async (words) => {
        const { alphabet, corpus, seeds, weights } = await seeded(words);
        const found = new Map<string, number>();
        for (let id = seeds.singles; id < seeds.count; id++) {
          const text = spelled(corpus.text.subarray(seeds.places[id]!, seeds.places[id]! + seeds.lengths[id]!), alphabet);
          expect(found.has(text)).toBe(false);
          found.set(text, weights[id]! / text.length);
        }
        expect(found).toEqual(substrings(words, options.maxSentencepieceLength));
      }),
    );
  });

  test('of the lattice are all places where they stand, short ones first', async () => {
    await fc.assert(
      fc.asyncProperty(wordList, async (words) => {
        const { corpus, lattice, seeds } = await seeded(words);
        const pieceAt = (id: number): string => corpus.text.subarray(seeds.places[id]!, seeds.places[id]! + seeds.lengths[id]!).join();
        for (let i = 0; i < corpus.text.length; i++) {
          const here = Array.from(lattice.ids.subarray(lattice.nodes[i], lattice.nodes[i + 1]));
          const expected = Array.from({ length: seeds.count - seeds.singles }, (_, n) => seeds.singles + n)
            .filter((id) => corpus.text.subarray(i, i + seeds.lengths[id]!).join() === pieceAt(id))
            .sort((a, b) => seeds.lengths[a]! - seeds.lengths[b]!);
          expect(here).toEqual(corpus.text[i] === 0 ? [] : [corpus.text[i]! - 1, ...expected]);
        }
      }),
    );
  });

  test('end where scripts, digits and blanks part, and hold no unknown character', async () => {
    const words: [string, number][] = [
      [' word12word12', 5],
      ['слово12word', 5],
      ['ひらカタ漢字', 5],
      ['x', 1000],
      ['\u{1F600}ab', 1],
    ];
    const { alphabet, corpus, seeds } = await seeded(words, { characterCoverage: 0.999, splitDigits: false });
    for (let id = seeds.singles; id < seeds.count; id++) {
      const text = spelled(corpus.text.subarray(seeds.places[id]!, seeds.places[id]! + seeds.lengths[id]!), alphabet);
      expect(text).toMatch(/^( ?[a-z]*|[0-9]+|[а-я]+|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]+)$/u);
    }
    const split = await seeded(words, { splitDigits: true });
    for (let id = split.seeds.singles; id < split.seeds.count; id++)
      expect(
        spelled(split.corpus.text.subarray(split.seeds.places[id]!, split.seeds.places[id]! + split.seeds.lengths[id]!), split.alphabet),
      ).not.toMatch(/[0-9]/);
  });
});

/** By definition. */
function substrings(words: readonly (readonly [string, number])[], longest: number): Map<string, number> {
  const follows = new Map<string, { count: number; next: Set<string> }>();
  for (const [word, count] of words)
    for (let from = 0; from < word.length; from++)
      for (let to = from + 2; to <= Math.min(word.length, from + longest); to++) {
        const known = follows.get(word.slice(from, to)) ?? { count: 0, next: new Set() };
        known.count += count;
        if (to < word.length) known.next.add(word[to]!);
        else for (const after of count % 2 === 0 ? ['blank', 'end of line'] : ['blank']) known.next.add(after);
        follows.set(word.slice(from, to), known);
      }
  const branching = [...follows].filter(([, { count, next }]) => count >= 2 && next.size > 1);
  return new Map(branching.map(([text, { count }]) => [text, count]));
}

describe('expectations', () => {
  test('are those of all ways to cut the words', async () => {
    await fc.assert(
      fc.asyncProperty(wordList, fc.infiniteStream(fc.double({ min: 0.01, max: 1, noNaN: true })), async (words, chances) => {
        const { corpus, lattice, seeds } = await seeded(words);
        const probabilities = Float64Array.from({ length: seeds.count }, () => chances.next().value as number);
        const expected = new Float64Array(seeds.count);
        let likelihood = 0;
        corpus.counts.forEach((count, w) => {
          const ways = cuts(lattice, corpus.starts[w]!, corpus.starts[w + 1]! - 1);
          const chance = ways.map((way) => way.reduce((p, id) => p * probabilities[id]!, 1));
          const all = chance.reduce((a, b) => a + b, 0);
          likelihood += count * Math.log(all);
          ways.forEach((way, i) => way.forEach((id) => (expected[id]! += (count * chance[i]!) / all)));
        });
        const found = new Float64Array(seeds.count);
        expect(expectations(lattice, probabilities, found)).toBeCloseTo(likelihood, 8);
        found.forEach((x, id) => expect(x).toBeCloseTo(expected[id]!, 8));
      }),
      { numRuns: 40 },
    );
  });

  test('of a word of thousands of unlikely characters add up to its length', async () => {
    const word = Array.from({ length: 5000 }, (_, i) => 'abcdefgh'[(i * i + (i >> 3)) % 8]).join('');
    const { lattice, seeds } = await seeded([[word, 3]]);
    const found = new Float64Array(seeds.count);
    const likelihood = expectations(lattice, new Float64Array(seeds.count).fill(1e-12), found);
    expect(Number.isFinite(likelihood)).toBe(true);
    expect(found.reduce((sum, x, id) => sum + x * seeds.lengths[id]!, 0)).toBeCloseTo(3 * 5000, 4);
  });
});

test('best paths are the likeliest of all ways to cut the words', async () => {
  await fc.assert(
    fc.asyncProperty(wordList, fc.infiniteStream(fc.double({ min: -20, max: -0.1, noNaN: true })), async (words, drawn) => {
      const { corpus, lattice, seeds } = await seeded(words);
      const scores = Float64Array.from({ length: seeds.count }, () => drawn.next().value as number);
      const counts = bestPathCounts(lattice, { ...seeds, scores });
      const total = Array.from(corpus.counts, (count, w) => {
        const ways = cuts(lattice, corpus.starts[w]!, corpus.starts[w + 1]! - 1);
        return count * Math.max(...ways.map((way) => way.reduce((sum, id) => sum + scores[id]!, 0)));
      });
      expect(counts.reduce((sum, n, id) => sum + n * scores[id]!, 0)).toBeCloseTo(
        total.reduce((a, b) => a + b, 0),
        6,
      );
    }),
    { numRuns: 40 },
  );
});

describe('pruning', () => {
  const words: [string, number][] = ['banana', 'bandana', 'cabana', 'ban', 'anna', 'nab', 'band', 'cab', 'dab'].map((w, i) => [
    ` ${w}`,
    40 - 3 * i,
  ]);

  test('keeps what was asked for, all characters that are in use among them', async () => {
    const { lattice, seeds, weights } = await seeded(words);
    const model = maximiser(lattice, seeds, weights);
    model.step();
    model.step();
    const before = model.size();
    expect(model.prune(before - 3)).toBe(true);
    expect(model.size()).toBeLessThanOrEqual(before - 3);
    for (let i = 0; i < lattice.text.length; i++)
      expect(lattice.nodes[i + 1]! - lattice.nodes[i]!).toBeGreaterThanOrEqual(Number(lattice.text[i]! > 0));
  });

  test('a step never makes the words less likely by more than its prior', async () => {
    const { lattice, seeds, weights } = await seeded(words);
    const model = maximiser(lattice, seeds, weights);
    const losses = Array.from({ length: 6 }, () => model.step());
    expect(losses.at(-1)!).toBeLessThan(losses[0]!);
  });
});

test('the order in which words come changes nothing', async () => {
  await fc.assert(
    fc.asyncProperty(wordList, fc.infiniteStream(fc.nat()), async (words, random) => {
      const shuffled = words.map((word) => [random.next().value as number, word] as const).sort(([a], [b]) => a - b);
      const layouts: Corpus[] = [words, shuffled.map(([, word]) => word)].map((list) => {
        const counts = new Map(list);
        return layOut({ counts, last: counts }, alphabetOf(counts, options), options);
      });
      expect(layouts[0]).toEqual(layouts[1]);
    }),
  );
});
