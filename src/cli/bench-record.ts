/** What bench leaves behind: its document, a line of it in a checkout, and what peers left. */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { EXIT, jsonLine, UserError } from '../base/index.ts';
import { chromeTrace, type PeerLine, readPeers, type Row } from '../bench/index.ts';
import type { MachineExecutor, Timeline } from '../exec/index.ts';
import { timelinePage } from '../report/index.ts';
import { environment, packageHome } from '../runs/index.ts';
import type { Recipe } from '../train/index.ts';
import { shownPath } from './surroundings.ts';
import type { Terminal } from './terminal.ts';

/** GFLOP/s and GB/s; `bandwidth` is that of reads, `update` of reads and writes in place. bf16 is null where the processor lacks it. */
export interface Peak {
  readonly f32: number;
  readonly bf16: number | null;
  readonly bandwidth: number;
  readonly update: number;
}

const PROBE_SECONDS = 0.2;

/** What the machine can do now, before anything else is measured. */
export function peakNow(executor: MachineExecutor, { say, form }: Terminal): Peak {
  const { read, update } = executor.bandwidth(PROBE_SECONDS);
  const bf16 = executor.facts.bf16 ? executor.peak(PROBE_SECONDS, 'bf16') : null;
  const peak = { f32: executor.peak(PROBE_SECONDS), bf16, bandwidth: read, update };
  const [threads, half] = [executor.facts.threads, bf16 === null ? '' : `, ${bf16.toFixed(0)} bf16`];
  if (form === 'text')
    say(`${threads} threads: ${peak.f32.toFixed(0)} GFLOP/s f32${half}; reads ${read.toFixed(0)} GB/s, updates ${update.toFixed(0)} GB/s`);
  return peak;
}

export interface BenchDocument {
  readonly machine: object;
  readonly peak: Peak;
  readonly rows: readonly Omit<Row, 'like'>[];
}

/** The peak is the best of `first` and of those measured beside the rows. */
export function benchDocument({ facts }: MachineExecutor, first: Peak, rows: readonly Row[]): BenchDocument {
  const best = (start: number, of: readonly Row[]): number => Math.max(start, ...of.map((r) => r.peak_gflops));
  const peak = {
    ...first,
    f32: best(
      first.f32,
      rows.filter((r) => r.dtype === 'f32'),
    ),
    bf16:
      first.bf16 === null
        ? null
        : best(
            first.bf16,
            rows.filter((r) => r.dtype !== 'f32'),
          ),
  };
  return {
    machine: { processor: cpus()[0]?.model.trim() ?? 'unknown', cores: cpus().length, load: loadavg()[0], engine: facts },
    peak,
    rows: rows.map(({ like: _, ...row }) => row),
  };
}

/** Appends the document to bench/results.jsonl of a checkout, or to the file that OPENMOE_BENCH_RESULTS names (none where it is empty). */
export async function record(document: BenchDocument, { env, detail }: Terminal): Promise<void> {
  const { git } = await environment({});
  const file = env['OPENMOE_BENCH_RESULTS'] ?? (git && join(packageHome(), 'bench', 'results.jsonl'));
  if (!file) return;
  mkdirSync(dirname(file), { recursive: true });
  const when = { time: new Date().toISOString(), revision: git?.revision ?? null, dirty: git ? git.dirty !== null : null };
  appendFileSync(file, jsonLine({ schema: 'openmoe.bench/1', ...when, ...document }));
  detail(`appended to ${shownPath(file)}`);
}

export interface Profiled {
  readonly recipe: Recipe;
  readonly row: Row;
  readonly terminal: Terminal;
}

/** One step as a page and as a Chrome trace, beside where the command was called. Returns the files. */
export function writeProfile(timeline: Timeline, { recipe, row, terminal }: Profiled): readonly string[] {
  const [page, trace] = [`profile-${recipe.name}.html`, `profile-${recipe.name}.trace.json`] as const;
  const about = `${row.shape} tokens, ${row.threads} threads, ${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${new Date().toISOString()}`;
  writeFileSync(page, timelinePage({ title: `One ${row.name}`, about, ...timeline }));
  writeFileSync(trace, JSON.stringify(chromeTrace(timeline)));
  terminal.say(`one step as a timeline: ${page}, ${trace}`);
  return [page, trace];
}

/** Throws UserError E_PEERS (exit 3 or 4) for a file that is not there, or holds no measurement. */
export function peersFrom(file: string, terminal: Terminal): readonly PeerLine[] {
  const { lines, skipped } = readPeers(textOf(file));
  if (lines.length === 0)
    throw new UserError('E_PEERS', EXIT.damaged, { message: 'no line is a measurement: an object with a peer and a name', place: file });
  if (skipped > 0) terminal.say(`${file}: ${skipped} lines are no measurements`);
  return lines;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UserError('E_PEERS', EXIT.notFound, { message: `cannot be read: ${(error as Error).message}`, place: file });
  }
}
