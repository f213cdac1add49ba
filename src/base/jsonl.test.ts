import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jsonLine, parseGrowingJsonLines, parseJsonLines } from './jsonl.ts';
import { UserError } from './errors.ts';

const values = (lines: readonly { readonly value: unknown }[]): unknown[] => lines.map((l) => l.value);

describe('a finished file', () => {
  test('blank lines, carriage returns and a byte order mark are no values, and lines are counted from 1', () => {
    expect(parseJsonLines('\ufeff{"a":1}\r\n\n [2] \n', 'x')).toEqual([
      { line: 1, value: { a: 1 } },
      { line: 3, value: [2] },
    ]);
  });

  test('a bad line is named by file and number', () => {
    expect(() => parseJsonLines('{}\n{"a":\n', 'm.jsonl')).toThrow(/E_JSONL.*m\.jsonl:2/);
  });
});

describe('a growing file', () => {
  const objects = fc.array(fc.dictionary(fc.string(), fc.oneof(fc.integer(), fc.string(), fc.boolean()), { maxKeys: 4 }), {
    minLength: 1,
    maxLength: 6,
  });

  test('cut anywhere, it gives exactly the lines that were written whole', () => {
    fc.assert(
      fc.property(objects, fc.nat(), (written, where) => {
        const text = written.map(jsonLine).join('');
        const cut = text.slice(0, where % (text.length + 1));
        const whole = written.filter(
          (_, i) =>
            written
              .slice(0, i + 1)
              .map(jsonLine)
              .join('').length -
              1 <=
            cut.length,
        );
        expect(values(parseGrowingJsonLines(cut, 'x'))).toEqual(JSON.parse(JSON.stringify(whole)));
      }),
    );
  });

  test('a torn number is not taken for a number', () => {
    expect(values(parseGrowingJsonLines('1\n12', 'x'))).toEqual([1]);
  });

  test('a torn line in the middle is damage', () => {
    expect(() => parseGrowingJsonLines('{"a":\n{}\n', 'x')).toThrow(UserError);
  });
});

test('numbers that JSON cannot hold become null', () => {
  expect(jsonLine({ loss: NaN })).toBe('{"loss":null}\n');
});
