/**
 * Trie of byte strings as a double array: a step is one addition and one comparison.
 * Bound by cache misses on the array: 12 bytes a node in use, laid four words apart.
 */

/** `units[node]`: where its children begin, `[node + 1]`: its parent, `[node + 2]`: value of the string that ends here, or −1. Child of byte b: `units[node] + 4·b`. */
export interface Trie {
  readonly units: Int32Array;
}

export const ROOT = 0;
const STRIDE = 4;
const NONE = -1;
/** Places tried for the children of a node before they go to the end: keeps the building linear. */
const TRIES = 48;

/** Trie of strings with values ≥ 0; of equal strings the last one counts. */
export function buildTrie(keys: readonly Uint8Array[], values: (index: number) => number = (i) => i): Trie {
  const list = linkedTrie(keys, values);
  return { units: doubleArray(list) };
}

/** Value of a string, −1 when it is not there. */
export function lookUp({ units }: Trie, bytes: Uint8Array, from = 0, to = bytes.length): number {
  let node = ROOT;
  for (let i = from; i < to; i++) {
    const next = units[node]! + STRIDE * bytes[i]!;
    if (units[next + 1] !== node) return NONE;
    node = next;
  }
  return units[node + 2]!;
}

/** Nodes with first child and next sibling: quick to insert into. */
function linkedTrie(keys: readonly Uint8Array[], values: (index: number) => number) {
  const most = keys.reduce((n, key) => n + key.length, 1);
  const [child, sibling, value] = [new Int32Array(most).fill(NONE), new Int32Array(most).fill(NONE), new Int32Array(most).fill(NONE)];
  const label = new Uint8Array(most);
  let nodes = 1;
  keys.forEach((key, index) => {
    let node = 0;
    for (const byte of key) {
      let next = child[node]!;
      while (next !== NONE && label[next] !== byte) next = sibling[next]!;
      if (next === NONE) {
        next = nodes++;
        label[next] = byte;
        sibling[next] = child[node]!;
        child[node] = next;
      }
      node = next;
    }
    value[node] = values(index);
  });
  return { child, sibling, value, label, nodes };
}

function doubleArray({ child, sibling, value, label, nodes }: ReturnType<typeof linkedTrie>): Int32Array {
  const slots = freeSlots(2 * nodes + 512);
  let units = new Int32Array(STRIDE * (2 * nodes + 512)).fill(NONE);
  const grown = (slot: number): void => {
    const least = STRIDE * (slot + 257);
    if (units.length >= least) return;
    const more = new Int32Array(Math.max(least, 2 * units.length)).fill(NONE);
    more.set(units);
    units = more;
  };
  slots.take(0);
  // The root is its own place; [node, slot] still to be given children.
  const pending: number[] = [0, 0];
  const bytes: number[] = [];
  while (pending.length > 0) {
    const slot = pending.pop()!;
    const node = pending.pop()!;
    units[STRIDE * slot + 2] = value[node]!;
    bytes.length = 0;
    for (let next = child[node]!; next !== NONE; next = sibling[next]!) bytes.push(label[next]!);
    const base = bytes.length > 0 ? slots.place(bytes) : 0;
    grown(base + 256);
    units[STRIDE * slot] = STRIDE * base;
    for (let next = child[node]!; next !== NONE; next = sibling[next]!) {
      const place = base + label[next]!;
      slots.take(place);
      units[STRIDE * place + 1] = STRIDE * slot;
      pending.push(next, place);
    }
  }
  // A child's place may be computed for any byte, whether or not it is used.
  return units.slice(0, STRIDE * (slots.end() + 257));
}

/** Slots not yet used; beyond the last used one all are free. */
function freeSlots(capacity: number) {
  // The next free slot at or after each, found by following; paths are shortened on the way.
  let next = Int32Array.from({ length: capacity }, (_, i) => i);
  let from = 0;
  let end = 0;
  const free = (slot: number): number => {
    while (slot < end && next[slot] !== slot) slot = next[slot] = next[next[slot]!]!;
    return slot;
  };
  const isUsed = (slot: number): boolean => slot < end && next[slot] !== slot;
  return {
    end: () => end,
    take(slot: number): void {
      if (slot + 1 >= next.length) {
        const less = next;
        next = Int32Array.from({ length: 2 * slot + 2 }, (_, i) => less[i] ?? i);
      }
      next[slot] = slot + 1;
      end = Math.max(end, slot + 1);
      from = free(from);
    },
    /** A base ≥ 0 such that base + b is free for all bytes. */
    place(bytes: readonly number[]): number {
      const least = Math.min(...bytes);
      let slot = free(Math.max(from, least));
      for (let tried = 0; slot < end && tried < TRIES; tried++, slot = free(slot + 1))
        if (bytes.every((b) => !isUsed(slot - least + b))) return slot - least;
      // Where most slots are used, later searches start further on.
      if (slot < end) from = free(from + 1);
      return end;
    },
  };
}
