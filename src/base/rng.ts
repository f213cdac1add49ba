/** Counter-based random numbers keyed by name: adding a consumer never shifts another's stream. */

/** FNV-1a over UTF-8 bytes, 32 bits. */
export function fnv1a(text: string): number {
  let h = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) h = Math.imul(h ^ byte, 0x01000193);
  return h >>> 0;
}

/** murmur3's 32-bit finaliser. */
export function mix32(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** A stream of numbers addressed by index; `u32(i)` depends on (seed, path, i) alone. */
export interface Rng {
  /** The sub-stream of that name, and of those further indices (a step, an expert). */
  at(name: string, ...indices: readonly number[]): Rng;
  /** Uniform 32-bit integer number i. */
  u32(i: number): number;
  /** Uniform in [0, 1) with 24 bits. */
  uniform(i: number): number;
  /** Uniform integer in [0, n), n ≤ 2^32, by multiply-high. */
  below(n: number, i: number): number;
  /** Standard normal, Box–Muller over two independent words. */
  normal(i: number): number;
}

export function rng(seed: number): Rng {
  return stream(mix32(seed ^ 0x9e3779b9), mix32(Math.floor(seed / 2 ** 32) ^ 0x7f4a7c15 ^ seed));
}

function stream(k0: number, k1: number): Rng {
  const word = (i: number, lane: number): number => {
    const low = mix32((i ^ k0) + Math.imul(lane, 0x9e3779b9));
    return mix32(low ^ k1 ^ mix32(Math.floor(i / 2 ** 32) + 0x85ebca77));
  };
  const u32 = (i: number): number => word(i, 0);
  return {
    at(name, ...indices) {
      let [a, b] = [mix32(k0 ^ fnv1a(name)), mix32(k1 + fnv1a(name))];
      for (const index of indices) [a, b] = [mix32(a ^ mix32(index + 0x3c6ef372)), mix32(b + mix32(index ^ 0x510e527f))];
      return stream(a, b);
    },
    u32,
    uniform: (i) => (u32(i) >>> 8) / 2 ** 24,
    below: (n, i) => Math.floor((u32(i) / 2 ** 32) * n),
    normal(i) {
      const radius = Math.sqrt(-2 * Math.log((word(i, 1) + 1) / (2 ** 32 + 1)));
      return radius * Math.cos(2 * Math.PI * (word(i, 2) / 2 ** 32));
    },
  };
}
