import { parseHTML } from 'linkedom';
import { describe, expect, test } from 'vitest';
import { report } from './report.ts';
import { pieceOf, syntheticInput, syntheticRecords } from './synthetic-input.ts';
import { flattened } from './page/facts.ts';
import { between } from './page/summary.ts';

const records = syntheticRecords({ domains: 3, sequences: 8, length: 64, seed: 1, experts: 8 });
const input = syntheticInput(records, 32);
const page = report(input);
const { document } = parseHTML(page);
const textOf = (selector: string): string => document.querySelector(selector)!.textContent!;

describe('the page', () => {
  test('has every section, each reached from the contents', () => {
    const ids = ['summary', 'finding-1', 'finding-2', 'finding-3', 'training', 'experts', 'samples', 'data', 'environment', 'redo'];
    expect([...document.querySelectorAll('main section')].map(({ id }) => id)).toEqual(ids);
    expect([...document.querySelectorAll('nav a')].map((a) => a.getAttribute('href'))).toEqual(ids.map((id) => `#${id}`));
  });

  test('needs no script, no network and no other file', () => {
    expect(document.querySelectorAll('script, link, img, iframe, object, embed')).toHaveLength(0);
    expect(page).not.toMatch(/(?:src|srcset|poster)=|url\(|@import/i);
    expect(page).not.toMatch(/<[^>]* on\w+=/i);
    for (const a of document.querySelectorAll('a')) expect(a.getAttribute('href')).toMatch(/^#[\w-]+$/);
  });

  test('shows what corpora and models wrote as text', () => {
    expect(textOf('#samples pre')).toContain('</pre><script>alert(2)</script>');
    expect(textOf('#experts')).toContain(pieceOf(1));
    expect(textOf('#environment')).toContain('Test & Sons <CPU>');
  });

  test('headings go down one level at a time, and ids are unique', () => {
    const levels = [...document.querySelectorAll('h1, h2, h3, h4')].map(({ tagName }) => Number(tagName[1]));
    expect(levels[0]).toBe(1);
    expect(levels.filter((level) => level === 1)).toHaveLength(1);
    levels.forEach((level, i) => expect(level - (levels[i - 1] ?? 0)).toBeLessThanOrEqual(1));
    const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('every table has a caption and scopes, every chart its name, its data and the command that redraws it', () => {
    for (const table of document.querySelectorAll('table')) {
      expect(table.querySelector('caption')!.textContent).not.toBe('');
      for (const th of table.querySelectorAll('th')) expect(th.getAttribute('scope')).toMatch(/^(row|col)$/);
    }
    const figures = [...document.querySelectorAll('figure')];
    expect(figures.length).toBeGreaterThan(20);
    for (const figure of figures) {
      expect(figure.querySelector('svg')!.getAttribute('aria-label')).not.toBe('');
      expect(figure.querySelector('figcaption code')!.textContent).toMatch(/^npx openmoe (report|inspect) /);
      expect(figure.querySelector('details pre')!.textContent!.split('\n').length).toBeGreaterThan(2);
    }
  });

  test('gives each finding its verdict, effect, interval, chance, null and n', () => {
    const cards = [...document.querySelectorAll('#summary article')].map((card) => card.textContent!.replaceAll(/\s+/g, ' '));
    expect(cards).toHaveLength(3);
    input.findings.findings.forEach(({ verdict }, i) => {
      expect(cards[i]).toContain(verdict);
      expect(cards[i]).toMatch(/\[.* to .*\].*chance [01].*n = [\d,]+ (tokens|groups).*Null: /s);
    });
    for (const [i, finding] of input.findings.findings.entries())
      for (const { layer, reason } of finding.layers) {
        expect(textOf(`#finding-${i + 1}`)).toContain(`Layer ${layer}`);
        expect(textOf(`#finding-${i + 1}`)).toContain(reason);
      }
  });

  test('shows both capacities of finding 3, the meeting table and the second choices of finding 1, all checkpoints of finding 2', () => {
    expect(textOf('#finding-3')).toMatch(/\(as evaluated\).*\(as trained\)/s);
    expect(textOf('#finding-1')).toContain('Meeting table of layer 3, first choices');
    expect(textOf('#finding-1')).toContain('Meeting table of layer 3, second choices');
    const steps = [...document.querySelectorAll('#finding-2 tbody th')].map((th) => th.textContent);
    expect(steps.slice(0, records.length)).toEqual(records.map(({ step }) => `step ${step}`));
  });

  test('is a pure function of its input', () => {
    expect(report(input) === page).toBe(true);
  });

  test('survives findings that went through JSON, where NaN is null', () => {
    const stored = { ...input, findings: JSON.parse(JSON.stringify(input.findings)) as typeof input.findings };
    expect(report(stored) === page).toBe(true);
  });
});

describe('runs of less', () => {
  const { findings: _, ...dense } = input;

  test('a dense model, or a run not probed yet, has no findings and says so', () => {
    const bare = report({ ...dense, stepRouting: [], samples: [], data: [], validation: [], metrics: [] });
    expect(bare.includes('finding-1')).toBe(false);
    expect(bare).toMatch(/no routing findings.*No validation yet.*No text was generated.*No table of sources/s);
    expect(bare.includes('NaN')).toBe(false);
  });

  test('one checkpoint is reported, its learning undecided', () => {
    const one = syntheticInput(records.slice(-1), 32);
    expect(report(one).includes('undecided')).toBe(true);
  });

  test('a path with blanks and quotes stays one word of the command that redraws', () => {
    const { document: odd } = parseHTML(report({ ...dense, run: { id: 'x', dir: "it's here" } }));
    expect(odd.querySelector('figcaption code')!.textContent).toBe(`npx openmoe report 'it'\\''s here'`);
  });
});

test('brackets in words', () => {
  expect([between([0.08, 0.16]), between([null, 0]), between([1, null])]).toEqual([
    'between 8\u00a0% and 16\u00a0% of training',
    'from 0\u00a0% on',
    'not reached',
  ]);
});

test('values by dotted path', () => {
  expect(flattened({ a: { b: [1, 2] }, c: null, d: [{ e: true }] })).toEqual([
    ['a.b', '1 2'],
    ['c', 'null'],
    ['d.0.e', 'true'],
  ]);
});
