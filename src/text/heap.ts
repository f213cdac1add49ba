/** Binary heap of numbers, least first. */
export interface Heap {
  readonly size: number;
  push(key: number): void;
  /** The least key; undefined when empty. */
  pop(): number | undefined;
}

export function heap(): Heap {
  const keys: number[] = [];
  return {
    get size() {
      return keys.length;
    },
    push(key) {
      let at = keys.length;
      keys.push(key);
      while (at > 0) {
        const parent = (at - 1) >> 1;
        if (keys[parent]! <= key) break;
        keys[at] = keys[parent]!;
        at = parent;
      }
      keys[at] = key;
    },
    pop() {
      const least = keys[0];
      const last = keys.pop();
      if (keys.length > 0) sink(keys, last!);
      return least;
    },
  };
}

/** Puts `key` in the place of the least, and restores the order. */
function sink(keys: number[], key: number): void {
  const n = keys.length;
  let at = 0;
  for (let child = 1; child < n; child = 2 * at + 1) {
    if (child + 1 < n && keys[child + 1]! < keys[child]!) child++;
    if (keys[child]! >= key) break;
    keys[at] = keys[child]!;
    at = child;
  }
  keys[at] = key;
}
