import { expect, test } from 'vitest';
import { inColumns } from './index.ts';

test('columns stand under each other, wide characters counted twice', () => {
  expect(
    inColumns(
      [
        ['語', '1'],
        ['abc', '22'],
      ],
      { right: [1] },
    ),
  ).toBe('語    1\nabc  22\n');
});

test('rows may end early, and nothing trails', () => {
  expect(inColumns([['a'], ['bb', 'c', '']])).toBe('a\nbb  c\n');
});
