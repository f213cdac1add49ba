/** Darts double arrays, the trie format of SentencePiece's normalization maps: built here, read by charsmap.ts. */

/** A leaf's value has this bit; a node with a leaf has the other. */
const [LEAF, HAS_LEAF] = [0x80000000, 0x100];
/** Free units further than this below the highest taken one are given up: looking there again and again takes longer than they are worth. */
const WINDOW = 4096;

/**
 * Units of a trie over byte strings, none empty or with a zero byte, sorted, each once. A node's child by byte c is unit
 * `node ^ offset ^ c`; a key's value is the child by 0. Values are below 2³¹. Nodes from which everything goes on alike share their children.
 */
export function buildDoubleArray(keys: readonly Uint8Array[], values: readonly number[]): Uint32Array {
  const { families, root } = familiesOf(keys, values);
  const room = units();
  const offsets = new Int32Array(families.length).fill(-1);
  // Nodes whose children are to be placed: their unit, and the family of the children.
  const pending: [unit: number, family: number][] = [[0, root]];
  for (let node = pending.pop(); node; node = pending.pop()) {
    const [unit, family] = node;
    const { labels, next } = families[family]!;
    const placed = offsets[family]! >= 0;
    const offset = placed ? offsets[family]! : (offsets[family] = room.place(labels));
    room.write(unit, room.read(unit) | offsetBits(unit ^ offset) | (labels[0] === 0 ? HAS_LEAF : 0));
    if (placed) continue;
    labels.forEach((label, i) => {
      room.write(offset ^ label, label === 0 ? LEAF | next[i]! : label);
      if (label !== 0) pending.push([offset ^ label, next[i]!]);
    });
  }
  return room.whole();
}

/** The children of a node: by label the family of each one's own children, by label 0 the value. */
interface Family {
  readonly labels: readonly number[];
  readonly next: readonly number[];
}

function familiesOf(keys: readonly Uint8Array[], values: readonly number[]) {
  const families: Family[] = [];
  const known = new Map<string, number>();
  const familyOf = (from: number, to: number, depth: number): number => {
    const [labels, next]: [number[], number[]] = [[], []];
    for (let k = from; k < to;) {
      const label = keys[k]![depth] ?? 0;
      let end = k + 1;
      while (end < to && keys[end]![depth] === label) end++;
      labels.push(label);
      next.push(label === 0 ? values[k]! : familyOf(k, end, depth + 1));
      k = end;
    }
    const name = `${labels.join()} ${next.join()}`;
    const id = known.get(name) ?? families.length;
    if (id === families.length) {
      known.set(name, id);
      families.push({ labels, next });
    }
    return id;
  };
  const root = familyOf(0, keys.length, 0);
  return { families, root };
}

function units() {
  let array = new Uint32Array(1 << 16);
  let taken = new Uint8Array(array.length);
  let owned = new Uint8Array(array.length);
  let [free, highest] = [1, 0];
  taken[0] = owned[0] = 1; // the root, and an offset that would make it its own child
  return {
    read: (unit: number): number => array[unit]!,
    write: (unit: number, value: number): void => void (array[unit] = value),
    /** Takes the first units where all children fit; an offset belongs to one node. */
    place(labels: readonly number[]): number {
      free = Math.max(free, highest - WINDOW);
      while (taken[free]) free++;
      for (let unit = free; ; unit++) {
        if (unit + 512 > array.length) {
          array = grown(array, new Uint32Array(2 * array.length));
          taken = grown(taken, new Uint8Array(array.length));
          owned = grown(owned, new Uint8Array(array.length));
        }
        const offset = unit ^ labels[0]!;
        if (taken[unit] || owned[offset] || labels.some((label) => taken[offset ^ label])) continue;
        owned[offset] = 1;
        for (const label of labels) {
          taken[offset ^ label] = 1;
          highest = Math.max(highest, offset ^ label);
        }
        return offset;
      }
    },
    /** In blocks of 256: a search may look at any child of a node. */
    whole: (): Uint32Array => array.slice(0, (highest | 0xff) + 1),
  };
}

function grown<A extends Uint32Array | Uint8Array>(from: A, to: A): A {
  to.set(from);
  return to;
}

/** An offset's place in a unit: 21 bits, or multiples of 256 above. */
const offsetBits = (offset: number): number => (offset < 2 ** 21 ? offset << 10 : (offset << 2) | 0x200);
