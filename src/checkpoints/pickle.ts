/** A machine for the pickles that hold checkpoints: a closed list of opcodes; it calls nothing but what its vocabulary names. */
import { damaged } from './storage.ts';

/** What a pickle can hold here. `made`: what the vocabulary made of a global, of a persistent id or of a call. */
export type Pickled = null | boolean | number | bigint | string | PickledFloat | PickledTuple | PickledList | PickledDict | PickledMade;
/** Not a number: 3.0 is no size. */
export interface PickledFloat {
  readonly kind: 'float';
  readonly value: number;
}
export interface PickledTuple {
  readonly kind: 'tuple';
  readonly items: readonly Pickled[];
}
export interface PickledList {
  readonly kind: 'list';
  readonly items: Pickled[];
}
export interface PickledDict {
  readonly kind: 'dict';
  readonly entries: Map<string, Pickled>;
}
export interface PickledMade {
  readonly kind: 'made';
  readonly value: unknown;
}

/** What the names in a pickle mean. Each member throws an Error, whose message says what is wrong, for what it does not know. */
export interface Vocabulary {
  global(name: string): Pickled;
  persistent(id: Pickled): Pickled;
  call(callee: Pickled, args: readonly Pickled[]): Pickled;
  /** State set on an object by BUILD. */
  build(object: Pickled, state: Pickled): void;
}

/** Values that one pickle may make and remember: a checkpoint has some thirty a tensor. */
const MOST_VALUES = 1 << 20;

export interface PickleRead {
  readonly value: Pickled;
  /** One past the STOP opcode. */
  readonly end: number;
}

/** Runs one pickle from `start` on. Throws UserError E_PICKLE (damaged) naming the opcode or name that is not allowed, and its byte. */
export function readPickle(bytes: Uint8Array, start: number, { vocabulary, place }: { vocabulary: Vocabulary; place: string }): PickleRead {
  const m = new Machine(bytes, start, vocabulary);
  try {
    return { value: m.run(), end: m.at };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw damaged(
      'E_PICKLE',
      place,
      `${error.message} (byte ${m.opcodeAt} of the pickle)`,
      'nothing of it was run: a checkpoint holds tensors by name, and nothing else',
    );
  }
}

/** Why a pickle is refused; becomes a UserError with its place. */
export class Refusal extends Error {}

const MARK = Symbol('mark');
type Slot = Pickled | typeof MARK;

const dict = (): PickledDict => ({ kind: 'dict', entries: new Map() });
const tuple = (items: readonly Pickled[]): PickledTuple => ({ kind: 'tuple', items });

class Machine {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly vocabulary: Vocabulary;
  private readonly stack: Slot[] = [];
  private readonly memo = new Map<number, Pickled>();
  private made = 0;
  at: number;
  opcodeAt: number;

  constructor(bytes: Uint8Array, start: number, vocabulary: Vocabulary) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.vocabulary = vocabulary;
    this.at = this.opcodeAt = start;
  }

  run(): Pickled {
    for (;;) {
      this.opcodeAt = this.at;
      const code = this.bytes[this.take(1)]!;
      if (code === STOP) break;
      const act = OPCODES[code];
      if (!act) throw new Refusal(`opcode ${opcodeName(code)} is not one that checkpoints use`);
      act(this);
    }
    const value = this.pop();
    if (this.stack.length > 0) throw new Refusal('values are left over when it stops');
    return value;
  }

  /** The offset of the next `n` bytes, which are then behind. */
  take(n: number): number {
    const from = this.at;
    if (n > this.bytes.length - from) throw new Refusal(`it ends within its ${n === 1 ? 'opcodes' : `next ${n} bytes`}`);
    this.at += n;
    return from;
  }
  u8 = (): number => this.bytes[this.take(1)]!;
  u16 = (): number => this.view.getUint16(this.take(2), true);
  u32 = (): number => this.view.getUint32(this.take(4), true);
  i32 = (): number => this.view.getInt32(this.take(4), true);
  f64 = (): number => this.view.getFloat64(this.take(8), false);
  u64 = (): number => Number(this.view.getBigUint64(this.take(8), true));

  /** FRAME is only a hint how to read ahead, but not beyond the end. */
  frame(): void {
    const length = this.u64();
    if (length > this.bytes.length - this.at)
      throw new Refusal(`a frame of ${length} bytes, of which ${this.bytes.length - this.at} are there`);
  }

  text(length: number): string {
    const from = this.take(length);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.bytes.subarray(from, this.at));
    } catch {
      throw new Refusal('a text is not UTF-8');
    }
  }

  line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) throw new Refusal('a name does not end');
    const text = this.text(end - this.at);
    this.take(1);
    return text;
  }

  /** Signed, little-endian, of any length. */
  long(length: number): number | bigint {
    const from = this.take(length);
    if (length > 32) throw new Refusal(`a whole number of ${length} bytes`);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[from + i]!);
    if (length > 0 && this.bytes[from + length - 1]! & 0x80) value -= 1n << BigInt(8 * length);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  push(value: Slot): void {
    this.count();
    this.stack.push(value);
  }
  private count(): void {
    if (++this.made > MOST_VALUES) throw new Refusal(`it makes more than ${MOST_VALUES} values`);
  }
  pop(): Pickled {
    const value = this.stack.pop();
    if (value === undefined || value === MARK) throw new Refusal('it takes a value from an empty stack');
    return value;
  }
  top(): Pickled {
    const value = this.stack.at(-1);
    if (value === undefined || value === MARK) throw new Refusal('it takes a value from an empty stack');
    return value;
  }
  /** The values above the last mark, which goes too. */
  popToMark(): Pickled[] {
    const mark = this.stack.lastIndexOf(MARK);
    if (mark < 0) throw new Refusal('it has no mark on its stack');
    return this.stack.splice(mark).slice(1) as Pickled[];
  }
  popMany(n: number): Pickled[] {
    const items = Array.from({ length: n }, () => this.pop());
    return items.reverse();
  }

  put(index: number): void {
    if (!this.memo.has(index)) this.count();
    this.memo.set(index, this.top());
  }
  get(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) throw new Refusal(`memo ${index} was never set`);
    this.push(value);
  }
  memoize = (): void => this.put(this.memo.size);

  setItems(pairs: readonly Pickled[]): void {
    const target = this.top();
    if (!isKind(target, 'dict')) throw new Refusal(`it sets items of ${describe(target)}`);
    if (pairs.length % 2 > 0) throw new Refusal('an item has a key and no value');
    for (let i = 0; i < pairs.length; i += 2) {
      const key = pairs[i]!;
      if (typeof key !== 'string') throw new Refusal(`a key is ${describe(key)}, not a text`);
      if (target.entries.has(key)) throw new Refusal(`the key ${JSON.stringify(key.slice(0, 100))} comes twice`);
      target.entries.set(key, pairs[i + 1]!);
    }
  }
  append(items: readonly Pickled[]): void {
    const target = this.top();
    if (!isKind(target, 'list')) throw new Refusal(`it appends to ${describe(target)}`);
    for (const item of items) target.items.push(item);
  }

  global = (name: string): void => this.push(this.vocabulary.global(name));
  stackGlobal(): void {
    const [module, name] = this.popMany(2);
    if (typeof module !== 'string' || typeof name !== 'string') throw new Refusal('a global without a name');
    this.global(`${module}.${name}`);
  }
  reduce(): void {
    const [callee, args] = this.popMany(2);
    if (!isKind(args!, 'tuple')) throw new Refusal(`it calls with ${describe(args!)} for arguments`);
    this.push(this.vocabulary.call(callee!, args.items));
  }
  build(): void {
    const state = this.pop();
    this.vocabulary.build(this.top(), state);
  }
  persistent = (): void => this.push(this.vocabulary.persistent(this.pop()));
}

type Kinds = { readonly tuple: PickledTuple; readonly list: PickledList; readonly dict: PickledDict; readonly made: PickledMade };
export const isKind = <K extends keyof Kinds>(value: Pickled | undefined, kind: K): value is Kinds[K] =>
  typeof value === 'object' && value !== null && value.kind === kind;

/** A value as messages name it. */
export function describe(value: Pickled): string {
  if (value === null) return 'None';
  if (typeof value === 'string') return 'a text';
  if (typeof value === 'boolean') return 'a truth value';
  if (typeof value === 'object') return value.kind === 'made' ? 'an object' : `a ${value.kind}`;
  return `the number ${String(value).slice(0, 40)}`;
}

const STOP = 0x2e;
/** What opcodes of protocols 2 to 5 do that a checkpoint needs; by code. */
const OPCODES: Readonly<Record<number, (m: Machine) => void>> = {
  0x28: (m) => m.push(MARK),
  0x80: (m) => {
    const protocol = m.u8();
    if (protocol < 2 || protocol > 5) throw new Refusal(`protocol ${protocol} is not 2 to 5`);
  },
  0x95: (m) => m.frame(),
  0x4e: (m) => m.push(null),
  0x88: (m) => m.push(true),
  0x89: (m) => m.push(false),
  0x4a: (m) => m.push(m.i32()),
  0x4b: (m) => m.push(m.u8()),
  0x4d: (m) => m.push(m.u16()),
  0x8a: (m) => m.push(m.long(m.u8())),
  0x47: (m) => m.push({ kind: 'float', value: m.f64() }),
  0x58: (m) => m.push(m.text(m.u32())),
  0x8c: (m) => m.push(m.text(m.u8())),
  0x8d: (m) => m.push(m.text(m.u64())),
  0x54: (m) => m.push(m.text(m.u32())), // BINSTRING and SHORT_BINSTRING: texts of Python 2
  0x55: (m) => m.push(m.text(m.u8())),
  0x7d: (m) => m.push(dict()),
  0x5d: (m) => m.push({ kind: 'list', items: [] }),
  0x29: (m) => m.push(tuple([])),
  0x74: (m) => m.push(tuple(m.popToMark())),
  0x85: (m) => m.push(tuple(m.popMany(1))),
  0x86: (m) => m.push(tuple(m.popMany(2))),
  0x87: (m) => m.push(tuple(m.popMany(3))),
  0x73: (m) => m.setItems(m.popMany(2)),
  0x75: (m) => m.setItems(m.popToMark()),
  0x61: (m) => m.append(m.popMany(1)),
  0x65: (m) => m.append(m.popToMark()),
  0x71: (m) => m.put(m.u8()),
  0x72: (m) => m.put(m.u32()),
  0x94: (m) => m.memoize(),
  0x68: (m) => m.get(m.u8()),
  0x6a: (m) => m.get(m.u32()),
  0x63: (m) => m.global(`${m.line()}.${m.line()}`),
  0x93: (m) => m.stackGlobal(),
  0x52: (m) => m.reduce(),
  0x62: (m) => m.build(),
  0x51: (m) => m.persistent(),
};

/** Names of opcodes that are refused, where they have one. */
const REFUSED: Readonly<Record<number, string>> = {
  0x30: 'POP',
  0x31: 'POP_MARK',
  0x32: 'DUP',
  0x46: 'FLOAT',
  0x49: 'INT',
  0x4c: 'LONG',
  0x50: 'PERSID',
  0x53: 'STRING',
  0x56: 'UNICODE',
  0x64: 'DICT',
  0x67: 'GET',
  0x69: 'INST',
  0x6c: 'LIST',
  0x6f: 'OBJ',
  0x70: 'PUT',
  0x81: 'NEWOBJ',
  0x82: 'EXT1',
  0x83: 'EXT2',
  0x84: 'EXT4',
  0x8b: 'LONG4',
  0x8e: 'BINBYTES8',
  0x8f: 'EMPTY_SET',
  0x90: 'ADDITEMS',
  0x91: 'FROZENSET',
  0x92: 'NEWOBJ_EX',
  0x96: 'BYTEARRAY8',
  0x97: 'NEXT_BUFFER',
  0x98: 'READONLY_BUFFER',
  0x42: 'BINBYTES',
  0x43: 'SHORT_BINBYTES',
};
const opcodeName = (code: number): string => {
  const hex = `0x${code.toString(16).padStart(2, '0')}`;
  return REFUSED[code] ? `${REFUSED[code]} (${hex})` : hex;
};
