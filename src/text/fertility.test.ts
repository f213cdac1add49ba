import { expect, test } from 'vitest';
import { fertilityMeter, sumOf, wordCount } from './fertility.ts';
import { trainBpe } from './index.ts';

test('tokens, bytes and words are counted by group; bytes that are no whole character are told', async () => {
  const tokenizer = await trainBpe(['the cat the cat the cat'], { vocabSize: 270 });
  const meter = fertilityMeter(tokenizer, wordCount());
  meter.add('a', 'the cat');
  meter.add('a', 'é');
  meter.add('b', '猫');
  const cat = tokenizer.encode('the cat').length;
  expect(meter.groups.get('a')).toEqual({ documents: 2, bytes: 9, words: 3, tokens: cat + 2, unknown: 0, byteFallback: 2 });
  expect(meter.groups.get('b')).toEqual({ documents: 1, bytes: 3, words: 1, tokens: 3, unknown: 0, byteFallback: 3 });
  expect(sumOf(meter.groups.values())).toEqual({ documents: 3, bytes: 12, words: 4, tokens: cat + 5, unknown: 0, byteFallback: 5 });
  expect(meter.used()).toBe(new Set([...tokenizer.encode('the cat'), ...tokenizer.encode('é'), ...tokenizer.encode('猫')]).size);
});

test('words are counted where no blanks are written, too', () => {
  expect(wordCount()('Zwei Wörter, drei!')).toBe(3);
  expect(wordCount()('これは日本語です')).toBeGreaterThan(2);
});
