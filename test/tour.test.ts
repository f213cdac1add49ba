/** docs/tour.ts runs, and is as short as it says. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');

test('the tour trains, writes and inspects in at most 60 lines', () => {
  const runs = mkdtempSync(join(tmpdir(), 'openmoe-tour-'));
  try {
    const said = execFileSync(process.execPath, ['--import', 'tsx', 'docs/tour.ts', runs], { cwd: root, encoding: 'utf8' });
    expect(said).toMatch(/step 40: \d\.\d{3} nats/);
    expect(said).toMatch(/The country./);
    for (const id of ['context-independent-specialization', 'early-routing-learning', 'drop-towards-the-end'])
      expect(said).toContain(`${id}: layer 1 `);
    expect(
      readFileSync(join(root, 'docs', 'tour.ts'), 'utf8')
        .trimEnd()
        .split('\n').length,
    ).toBeLessThanOrEqual(60);
  } finally {
    rmSync(runs, { recursive: true, force: true });
  }
}, 120_000);
