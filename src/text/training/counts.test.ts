import { describe, expect, test } from 'vitest';
import { wordCounter } from './counts.ts';
import { TRAINER_DEFAULTS, type TrainerOptions } from './options.ts';

function counted(text: string, changes: Partial<TrainerOptions> = {}) {
  const counter = wordCounter({ ...TRAINER_DEFAULTS, ...changes }, (line) => line.replaceAll(' ', '\u2581'));
  counter.add(text);
  return { ...counter, words: Object.fromEntries(counter.counts), lines: counter.lines, skipped: counter.skipped };
}

describe('words', () => {
  test('begin with their blank; every blank begins one', () => {
    expect(counted(' the  cat\n the end\u2581').words).toEqual({ ' the': 2, ' ': 2, ' cat': 1, ' end': 1 });
  });
  test('end with their blank as a suffix', () => {
    expect(counted(' the  cat ', { treatWhitespaceAsSuffix: true }).words).toEqual({ ' ': 2, 'the ': 1, 'cat ': 1 });
  });
  test('take a run of blanks where pieces of blanks are allowed', () => {
    expect(counted('  the   cat', { allowWhitespaceOnlyPieces: true }).words).toEqual({ '  the': 1, '   cat': 1 });
    const suffix = { allowWhitespaceOnlyPieces: true, treatWhitespaceAsSuffix: true };
    expect(counted('  the   cat', suffix).words).toEqual({ '  ': 1, 'the   ': 1, cat: 1 });
  });
  test('are whole lines where words are not split', () => {
    expect(counted('a b\na b\nc', { splitByWhitespace: false }).words).toEqual({ 'a b': 2, c: 1 });
  });
  test('do not reach over a piece that is written out, and the longest such piece counts', () => {
    const options = { byteFallback: true, userDefinedSymbols: ['<x>', '<x><y>'] };
    expect(counted('a<x><y>b</s>c<0x0A>d<0xZZ>', options).words).toEqual({ 'a\u2585b\u2585c\u2585d<0xZZ>': 1 });
  });
});

test('lines that are empty are none; those too long or with U+2585 are passed over', () => {
  const { words, lines, skipped } = counted(`ab\n\n${'é'.repeat(6)}\n\u2585\n${'é'.repeat(5)}`, { maxSentenceLength: 10 });
  expect(words).toEqual({ ab: 1, ééééé: 1 });
  expect({ lines, skipped }).toEqual({ lines: 2, skipped: 2 });
});

test('the last word of each line is told', () => {
  expect(Object.fromEntries(counted('a b\nc b\n b a').last)).toEqual({ ' b': 2, ' a': 1 });
});
