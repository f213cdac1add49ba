/** Packed rows picked, ordered and cut into batches.   B rows, S tokens a row. */

/** Rows as training and evaluation read them; arrays [B·S]. */
export interface Rows {
  readonly tokens: Int32Array;
  readonly targets: Int32Array;
  /** 0 is padding. */
  readonly segments: Int32Array;
  /** 1 on targets that count. */
  readonly weights: Float32Array;
  /** Domain index of each token. */
  readonly domains: Int32Array;
}

/** The rows of those numbers, in that order. */
export function pickRows(all: Rows, numbers: readonly number[], length: number): Rows {
  const pick = <T extends Int32Array | Float32Array>(from: T, to: T): T => {
    numbers.forEach((n, r) => to.set(from.subarray(n * length, (n + 1) * length), r * length));
    return to;
  };
  const size = numbers.length * length;
  const integers = (from: Int32Array): Int32Array => pick(from, new Int32Array(size));
  return {
    tokens: integers(all.tokens),
    targets: integers(all.targets),
    segments: integers(all.segments),
    weights: pick(all.weights, new Float32Array(size)),
    domains: integers(all.domains),
  };
}

/**
 * Numbers of rows in turns: one of each domain, then the next of each, so that routing groups mix domains as in training. Each turn begins
 * with another domain: else a domain would stand at the same place of every group, and place could not be told from domain.
 */
export function interleaved(all: Rows, length: number): number[] {
  const domainOf = (row: number): number => all.domains[row * length]!;
  const rows = Array.from({ length: all.tokens.length / length }, (_, row) => row);
  const domains = [...new Set(rows.map(domainOf))].toSorted((a, b) => a - b);
  const seen = new Map<number, number>();
  const placed = rows.map((row) => {
    const turn = seen.get(domainOf(row)) ?? 0;
    seen.set(domainOf(row), turn + 1);
    return { row, turn, place: (domains.indexOf(domainOf(row)) + turn) % domains.length };
  });
  return placed.sort((a, b) => a.turn - b.turn || a.place - b.place).map((r) => r.row);
}

/** Batches of exactly `rows`: the last is filled with rows from the beginning, at weight 0. */
export function inBatches(all: Rows, { rows, length }: { readonly rows: number; readonly length: number }): Rows[] {
  const count = all.tokens.length / length;
  return Array.from({ length: Math.ceil(count / rows) }, (_, b) => {
    const batch = pickRows(
      all,
      Array.from({ length: rows }, (__, r) => (b * rows + r) % count),
      length,
    );
    batch.weights.fill(0, Math.min(rows, count - b * rows) * length);
    return batch;
  });
}
