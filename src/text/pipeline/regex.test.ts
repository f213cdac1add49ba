import { expect, test } from 'vitest';
import { UserError } from '../../base/index.ts';
import { translate } from './regex.ts';

const all = (source: string, text: string): string[] => text.match(translate(source)) ?? [];

test('an option of a group lets its letters match in both cases, and nothing else', () => {
  expect(all("(?i:'ll|[a-c]|(x))|ab", "'LL'll X ab AB c")).toEqual(["'LL", "'ll", 'X', 'a', 'b', 'A', 'B', 'c']);
  expect(all('(?i:a)b', 'ab Ab aB AB')).toEqual(['ab', 'Ab']);
});

test("shorthands are Unicode's, in and outside classes", () => {
  expect(all('\\s', ' \u0085\u3000\uFEFF')).toEqual([' ', '\u0085', '\u3000']);
  expect(all('[^\\s\\p{L}]+', 'a\u0085!? b')).toEqual(['!?']);
  expect(all('\\w+', 'é_1, ß')).toEqual(['é_1', 'ß']);
  expect(all('\\W', 'a-b')).toEqual(['-']);
  expect(all('\\d', '1٣½')).toEqual(['1', '٣']);
});

test('escapes that JavaScript does not know are characters', () => {
  expect(all("\\'\\-\\ x", "'- x")).toEqual(["'- x"]);
  expect(all('[\\-\\]({|]', '-]({|x')).toEqual(['-', ']', '(', '{', '|']);
});

test.each(['a++', 'x?+', '(?>a)', '(?m:a)', '(?i)a', '[a[bc]]', '[a&&b]', '\\G', '[\\W]', '(', '[b-a]'])('%s is refused', (source) => {
  expect(() => translate(source)).toThrow(UserError);
});
