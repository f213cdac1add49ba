import { expect, test } from 'vitest';
import { rng } from '../base/index.ts';
import { clusters, resemblance, sketch } from './near-duplicates.ts';

const words = (key: string, n: number): string[] => Array.from({ length: n }, (_, i) => rng(1).at(key).u32(i).toString(36));
const shingles = (text: string): Set<string> => new Set(Array.from({ length: text.length - 15 }, (_, i) => text.slice(i, i + 16)));

test('equal bins estimate the Jaccard resemblance of 16-character shingles', () => {
  for (const edits of [0, 2, 5, 10, 25, 100]) {
    const a = words('a', 200);
    const b = a.map((w, i) => (i % 200 < edits * 2 && i % 2 ? `x${i}` : w));
    const [one, two] = [shingles(a.join(' ')), shingles(b.join(' '))];
    const both = [...one].filter((s) => two.has(s)).length;
    const jaccard = both / (one.size + two.size - both);
    // 64 bins: three standard errors are 0.19.
    expect(Math.abs(resemblance(sketch(a.join(' ')), sketch(b.join(' '))) - jaccard)).toBeLessThan(0.19);
  }
});

test('copies with a few words changed are one cluster, called by its first member; other texts are alone', () => {
  const text = words('text', 300);
  const edited = text.map((w, i) => (i % 60 === 7 ? 'changed' : w)).join(' ');
  const list = [
    words('p', 300).join(' '),
    text.join(' '),
    words('q', 300).join(' '),
    edited,
    `Preface. ${text.join(' ')}`,
    'short',
    'other',
    'short',
    '',
  ];
  expect([...clusters(list.map(sketch))]).toEqual([0, 1, 2, 1, 1, 5, 6, 5, 8]);
});

test('a thousand unrelated texts stay a thousand clusters', () => {
  const list = Array.from({ length: 1000 }, (_, i) => sketch(words(`t${i}`, 60).join(' ')));
  expect(new Set(clusters(list)).size).toBe(1000);
});
