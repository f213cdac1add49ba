/** What was measured, as tables. */
import { formatShare, inColumns } from '../base/index.ts';
import type { OpTime, Row } from '../bench/index.ts';

/** Milliseconds, to three digits even where kernels take microseconds. */
const ms = (seconds: number): string => {
  const text = (seconds * 1000).toPrecision(3);
  return text.includes('e') ? String(Math.round(seconds * 1000)) : text;
};

interface Column {
  readonly head: string;
  readonly left?: true;
  /** Undefined: this row has none. */
  cell(row: Row): string | undefined;
}
const COLUMNS: readonly Column[] = [
  { head: 'name', left: true, cell: (r) => r.name },
  { head: 'shape', left: true, cell: (r) => r.shape },
  { head: 'type', left: true, cell: (r) => r.dtype },
  { head: 'ms', cell: (r) => ms(r.median_s) },
  { head: 'min', cell: (r) => ms(r.min_s) },
  { head: 'max', cell: (r) => ms(r.max_s) },
  { head: 'floor', cell: (r) => ms(r.floor_s) },
  { head: 'share', cell: (r) => formatShare(r.share) },
  { head: 'bound by', left: true, cell: (r) => (r.bound === 'compute' ? 'peak' : 'memory') },
  { head: 'GFLOP/s, GB/s', cell: (r) => (r.bound === 'compute' ? r.peak_gflops : r.read_gb_s).toFixed(0) },
  { head: 'tokens/s', cell: (r) => r.tok_per_s?.toFixed(0) },
  { head: 'MB/s', cell: (r) => r.mb_per_s?.toPrecision(3) },
  { head: '÷ dense', cell: (r) => r.to_dense?.toFixed(2) },
  { head: 'event loop p99 ms', cell: (r) => (r.event_loop_p99_s === undefined ? undefined : ms(r.event_loop_p99_s)) },
  { head: '× peer', cell: (r) => r.peer?.ratio.toFixed(2) },
  { head: 'peer', left: true, cell: (r) => r.peer?.who },
];

/** Columns that no row fills are left out. */
export function rowsTable(rows: readonly Row[]): string {
  const columns = COLUMNS.filter((c) => rows.some((r) => c.cell(r) !== undefined));
  const right = columns.flatMap((c, n) => (c.left ? [] : [n]));
  return inColumns([columns.map((c) => c.head), ...rows.map((r) => columns.map((c) => c.cell(r) ?? ''))], { right });
}

const SHOWN = 14;
const LONGEST = 50;

/** Where the time of a step goes: all of it with -v. */
export function opsTable(ops: readonly OpTime[], verbosity: number): string {
  const shown = verbosity > 0 ? ops : ops.slice(0, SHOWN);
  const line = (o: Omit<OpTime, 'bound'> & { bound?: string }): string[] => [
    o.op.length > LONGEST ? `${o.op.slice(0, LONGEST - 1)}…` : o.op,
    String(o.count),
    ms(o.seconds),
    formatShare(o.share),
    ms(o.floor_s),
    formatShare(o.floor_s / o.seconds),
    ms(o.gap_s),
    o.bound === undefined ? '' : o.bound === 'compute' ? 'peak' : 'memory',
  ];
  const sum = (of: (o: OpTime) => number): number => ops.reduce((total, o) => total + of(o), 0);
  const total = {
    op: 'all',
    count: sum((o) => o.count),
    seconds: sum((o) => o.seconds),
    share: 1,
    floor_s: sum((o) => o.floor_s),
    gap_s: sum((o) => o.gap_s),
  };
  const head = ['op', 'count', 'ms', 'of the step', 'floor', 'share', 'gap', 'bound by'];
  return inColumns([head, ...shown.map(line), line(total)], { right: [1, 2, 3, 4, 5, 6] });
}
