import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bar, csvOf, objectsOf, type Table } from './table.ts';

/** A reader of RFC 4180, for the round trip. */
export function readCsv(text: string): string[][] {
  const rows: string[][] = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n)/g)) {
    rows.at(-1)!.push(quoted?.replaceAll('""', '"') ?? plain!);
    if (end === '\n') rows.push([]);
  }
  return rows.slice(0, -1);
}

describe('csv', () => {
  test('comes back as it was, whatever the cells hold', () => {
    const cell = fc.oneof(fc.string({ unit: 'binary' }), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer(), fc.boolean());
    fc.assert(
      fc.property(fc.array(fc.tuple(cell, cell, cell)), (rows) => {
        const [head, ...body] = readCsv(csvOf({ columns: ['a', 'b,c', 'd"e'], rows }));
        expect(head).toEqual(['a', 'b,c', 'd"e']);
        expect(body).toEqual(rows.map((row) => row.map(String)));
      }),
      { numRuns: 200 },
    );
  });

  test('numbers keep all digits; what could not be counted is empty, in JSON null', () => {
    const table: Table = { columns: ['x', 'y', 'z'], rows: [[0.1 + 0.2, NaN, undefined]] };
    expect(csvOf(table)).toBe('x,y,z\n0.30000000000000004,,\n');
    expect(objectsOf(table)).toEqual([{ x: 0.1 + 0.2, y: null, z: null }]);
  });
});

test('a bar is as long as its share', () => {
  expect([bar(0, 4), bar(1 / 32, 4), bar(0.5, 4), bar(1, 4), bar(7, 4), bar(NaN, 4)]).toEqual(['', '▏', '██', '████', '████', '']);
});
