import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';
import { expect, test } from 'vitest';
import { report } from './report.ts';
import { syntheticInput, syntheticRecords } from './synthetic-input.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const executablePath = (process.env['PATH'] ?? '')
  .split(delimiter)
  .flatMap((dir) => NAMES.map((name) => join(dir, name)))
  .find(existsSync);
if (!executablePath) console.log('report in a browser: skipped, no chromium on PATH');

interface Violation {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string }[];
}

test.skipIf(!executablePath)(
  'the page opens without a message, fits its window, and axe finds nothing serious, light and dark, wide and narrow',
  async () => {
    const page = report(syntheticInput(syntheticRecords({ domains: 3, sequences: 8, length: 64, seed: 1, experts: 8 }), 32));
    const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    const browser = await chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox'] });
    try {
      for (const [width, colorScheme] of [
        [1200, 'light'],
        [375, 'dark'],
      ] as const) {
        const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, offline: true });
        const tab = await context.newPage();
        const messages: string[] = [];
        tab.on('console', (message) => messages.push(message.text()));
        tab.on('pageerror', (error) => messages.push(String(error)));
        tab.on('request', (request) => messages.push(request.url()));
        await tab.setContent(page);
        expect(await tab.evaluate('document.documentElement.scrollWidth')).toBe(width);
        await tab.evaluate(axe);
        const { violations } = await tab.evaluate<{ violations: Violation[] }>('axe.run()');
        expect(
          violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => [id, nodes[0]?.html]),
        ).toEqual([]);
        expect(messages).toEqual([]);
        await context.close();
      }
    } finally {
      await browser.close();
    }
  },
);
