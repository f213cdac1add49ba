/** Rows of fixed length: examples laid end to end and cut, each with its segments.   R rows, S tokens a row. */
import type { Batch } from './batch.ts';
import type { Example } from './causal.ts';

/** Packed rows; arrays [R·S]. */
export interface Rows {
  readonly length: number;
  readonly count: number;
  readonly targets: Int32Array;
  /** 0 is padding. */
  readonly segments: Uint16Array;
  readonly weights: Uint8Array;
  readonly domains: Uint16Array;
}

export interface Labelled {
  readonly example: Example;
  readonly domain: number;
}

/**
 * Lays examples end to end and cuts every S tokens. What reaches into the next row goes on there as a new segment, whose first token is
 * predicted from 0. The last row is padded, or with `fullRowsOnly` left out unless it is the only one.
 */
export function pack(
  examples: Iterable<Labelled>,
  { length, fullRowsOnly }: { readonly length: number; readonly fullRowsOnly: boolean },
): Rows {
  const list = [...examples];
  const total = list.reduce((n, { example }) => n + example.targets.length, 0);
  const rows = allocate(Math.ceil(total / length), length);
  let at = 0;
  for (const { example, domain } of list) {
    example.targets.forEach((target, i) => {
      rows.targets[at] = target;
      rows.weights[at] = example.weights[i]!;
      rows.domains[at] = domain;
      const column = at % length;
      rows.segments[at] = column === 0 ? 1 : rows.segments[at - 1]! + (i === 0 ? 1 : 0);
      at++;
    });
  }
  rows.domains.fill(rows.domains[at - 1] ?? 0, at);
  return fullRowsOnly && at % length > 0 && rows.count > 1 ? firstRows(rows, rows.count - 1) : rows;
}

/** One row for each piece, padded: nothing is packed together. */
export function single(parts: readonly { readonly targets: Int32Array; readonly domain: number }[], length: number): Rows {
  const rows = allocate(parts.length, length);
  parts.forEach(({ targets, domain }, r) => {
    rows.targets.set(targets, r * length);
    rows.segments.fill(1, r * length, r * length + targets.length);
    rows.weights.fill(1, r * length, r * length + targets.length);
    rows.domains.fill(domain, r * length, (r + 1) * length);
  });
  return rows;
}

const allocate = (count: number, length: number): Rows => ({
  length,
  count,
  targets: new Int32Array(count * length),
  segments: new Uint16Array(count * length),
  weights: new Uint8Array(count * length),
  domains: new Uint16Array(count * length),
});

function firstRows(rows: Rows, count: number): Rows {
  const end = count * rows.length;
  const { targets, segments, weights, domains } = rows;
  return {
    length: rows.length,
    count,
    targets: targets.slice(0, end),
    segments: segments.slice(0, end),
    weights: weights.slice(0, end),
    domains: domains.slice(0, end),
  };
}

/** The rows of those numbers as a batch. */
export function gather(rows: Rows, numbers: readonly number[]): Batch {
  const S = rows.length;
  const batch: Batch = {
    tokens: new Int32Array(numbers.length * S),
    targets: new Int32Array(numbers.length * S),
    segments: new Int32Array(numbers.length * S),
    weights: new Float32Array(numbers.length * S),
    domains: new Int32Array(numbers.length * S),
  };
  numbers.forEach((row, b) => {
    for (const key of ['targets', 'segments', 'weights', 'domains'] as const)
      batch[key].set(rows[key].subarray(row * S, (row + 1) * S), b * S);
    for (let i = b * S + 1; i < (b + 1) * S; i++)
      if (batch.segments[i] === batch.segments[i - 1] && batch.segments[i] !== 0) batch.tokens[i] = batch.targets[i - 1]!;
  });
  return batch;
}
