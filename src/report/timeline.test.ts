import { expect, test } from 'vitest';
import { timelinePage, type TimelineInput } from './timeline.ts';

const input: TimelineInput = {
  title: 'One step',
  about: 'on <a machine>',
  threads: 2,
  instructions: [
    { op: 'product', shape: '[2,3]' },
    { op: 'fused a<b', shape: '[2]' },
  ],
  spans: [
    { thread: 0, instruction: 0, begin_s: 0, end_s: 0.003 },
    { thread: 1, instruction: 0, begin_s: 0.001, end_s: 0.002 },
    { thread: -1, instruction: 0, begin_s: 0, end_s: 0.003 },
    { thread: 0, instruction: 1, begin_s: 0.003, end_s: 0.004 },
    { thread: -1, instruction: 1, begin_s: 0.003, end_s: 0.004 },
  ],
};

test('every stretch of work is a bar that says what it is, and each op has its time and how busy each thread was', () => {
  const page = timelinePage(input);
  expect(page.match(/<rect [^>]*><title>/g)).toHaveLength(input.spans.length);
  expect(page).toContain('<title>product [2,3]: 3.000 ms from 0.000</title>');
  expect(page.replaceAll('\u00a0', ' ')).toMatch(/Thread 1 works 100\.0 %[\s\S]*Thread 2 works 25\.0 %/);
  const row = /<th scope="row"[^>]*>product<\/th>[\s\S]*?<\/tr>/.exec(page)![0].replaceAll('\u00a0', ' ');
  expect([...row.matchAll(/<td[^>]*>([^<]*)<\/td>/g)].map((m) => m[1])).toEqual(['1', '3.000', '75.0 %', '100.0 %', '33.3 %']);
});

test('the page needs no network and no script, and what it is given is escaped', () => {
  const page = timelinePage(input);
  expect(page).not.toMatch(/<script|https?:|src=/);
  expect(page).toContain('on &lt;a machine&gt;');
  expect(page).toContain('fused a&lt;b');
});
