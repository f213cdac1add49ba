/** Memory plan: every value gets a place, in one arena with offsets fixed at load or in an argument's buffer. */
import { bytesOf, opNamed, sizeOf } from '../ops/index.ts';
import type { Instruction, Program, Value } from './program.ts';

export type Place = { readonly argument: number } | { readonly offset: number };

export interface Plan {
  /** Size of the arena. */
  readonly bytes: number;
  /** The most bytes alive at one instruction: no plan can do with fewer. */
  readonly lowerBound: number;
  /** Value id → where it lives, arguments included. */
  readonly places: ReadonlyMap<string, Place>;
  /** Results to copy into the argument they overwrite once all instructions have run: [value, argument]. */
  readonly copies: readonly (readonly [from: string, to: string])[];
}

const ALIGN = 64;

/** A block of memory shared by values that follow each other in it: views, and results that overwrite their operand. */
interface Block {
  readonly bytes: number;
  readonly born: number;
  dies: number;
  offset: number;
}

export function plan(program: Program): Plan {
  const last = lastUses(program);
  const blocks = new Map<string, Block | number>(program.arguments.map((a, i) => [a.id, i]));
  const made = new Map(program.code.flatMap((i) => i.out.flatMap((v) => (v ? [[v.id, v] as const] : []))));
  const overwritable = new Set(program.results.flatMap((r) => r.updates ?? []));
  const mayOverwrite = (argument: number): boolean => overwritable.has(program.arguments[argument]!.name);

  program.code.forEach((instruction, now) => {
    for (const value of instruction.out) {
      if (!value) continue;
      const shared = sharedWith(instruction, value, { blocks, last, now, program, made, mayOverwrite });
      const block = shared ?? { bytes: roomFor(value), born: now, dies: now, offset: 0 };
      if (typeof block !== 'number') block.dies = Math.max(block.dies, last.get(value.id) ?? now);
      blocks.set(value.id, block);
    }
  });

  const own = [...new Set(blocks.values())].filter((b): b is Block => typeof b !== 'number');
  const bytes = arrange(own);
  const places = new Map([...blocks].map(([id, b]) => [id, typeof b === 'number' ? { argument: b } : { offset: b.offset }] as const));
  const copies = program.results.flatMap((r) => {
    const to = program.arguments.findIndex((a) => a.name === r.updates);
    return to >= 0 && blocks.get(r.value) !== to ? [[r.value, program.arguments[to]!.id] as const] : [];
  });
  return { bytes, lowerBound: mostAlive(own, program.code.length), places, copies };
}

const roomFor = (v: Value): number => Math.max(ALIGN, Math.ceil(bytesOf(v) / ALIGN) * ALIGN);

/** Index of the last instruction that reads each value; results are read after the end. */
function lastUses(program: Program): Map<string, number> {
  const last = new Map<string, number>();
  program.code.forEach((i, now) => i.in.forEach((id) => last.set(id, now)));
  for (const r of program.results) last.set(r.value, program.code.length);
  return last;
}

interface Situation {
  readonly blocks: ReadonlyMap<string, Block | number>;
  readonly last: ReadonlyMap<string, number>;
  readonly now: number;
  readonly program: Program;
  /** Values that are not arguments. */
  readonly made: ReadonlyMap<string, Value>;
  readonly mayOverwrite: (argument: number) => boolean;
}

/** The memory that an output takes over from an operand, if it may. */
function sharedWith(i: Instruction, value: Value, s: Situation): Block | number | undefined {
  const traits = opNamed(i.op)?.definition;
  if (traits?.view) return s.blocks.get(i.in[0]!);
  const name = opNamed(i.op)?.outputs[i.out.indexOf(value)];
  const operand = name && (traits?.updates?.[name] ?? traits?.inPlace?.[name]);
  const candidates = operand ? [i.in[opNamed(i.op)!.inputs.indexOf(operand)]!] : 'steps' in i ? i.in : [];
  const found = candidates
    .map((id) => takeOver(id, value, s, { once: !operand && i.in.filter((x) => x === id).length > 1 }))
    .find((b) => b !== undefined);
  return found ?? unread(value, s);
}

/** The argument whose new value this is, when nobody ever reads the old one. */
function unread(value: Value, { program, last }: Situation): number | undefined {
  const result = program.results.find((r) => r.value === value.id && r.updates !== undefined);
  const at = program.arguments.findIndex((a) => a.name === result?.updates);
  const target = program.arguments[at];
  return target && !last.has(target.id) && bytesOf(target) === bytesOf(value) ? at : undefined;
}

function takeOver(id: string, value: Value, s: Situation, { once }: { once: boolean }): Block | number | undefined {
  const block = s.blocks.get(id)!;
  if (typeof block === 'number') {
    // Only the result that the program declares as this argument's new value may be written over it.
    const updates = s.program.results.some((r) => r.value === value.id && r.updates === s.program.arguments[block]!.name);
    return updates && s.mayOverwrite(block) && s.last.get(id) === s.now ? block : undefined;
  }
  // Element for element: an operand repeated along an axis may have as many bytes in a wider type.
  const operand = s.made.get(id)!;
  const alike = sizeOf(operand.shape) === sizeOf(value.shape) && bytesOf(operand) === bytesOf(value);
  return block.dies === s.now && !once && alike ? block : undefined;
}

/** Gives each block the lowest offset free during its whole life, largest blocks first. Returns the arena's size. */
function arrange(blocks: readonly Block[]): number {
  // In order of offset: a deep program has tens of thousands, and each is asked about all before it.
  const placed: Block[] = [];
  let bytes = 0;
  for (const block of blocks.toSorted((a, b) => b.bytes - a.bytes || a.born - b.born)) {
    block.offset = lowestGap(block, placed);
    placed.splice(placeOf(block.offset, placed), 0, block);
    bytes = Math.max(bytes, block.offset + block.bytes);
  }
  return bytes;
}

function lowestGap({ bytes, born, dies }: Block, placed: readonly Block[]): number {
  let offset = 0;
  for (const rival of placed) {
    if (rival.born > dies || born > rival.dies) continue;
    if (offset + bytes <= rival.offset) break;
    offset = Math.max(offset, rival.offset + rival.bytes);
  }
  return offset;
}

/** Number of blocks that lie below an offset. */
function placeOf(offset: number, placed: readonly Block[]): number {
  let [low, high] = [0, placed.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (placed[middle]!.offset < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

function mostAlive(blocks: readonly Block[], length: number): number {
  const change = new Array<number>(length + 2).fill(0);
  for (const b of blocks) {
    change[b.born]! += b.bytes;
    change[b.dies + 1]! -= b.bytes;
  }
  let [now, most] = [0, 0];
  for (const c of change) most = Math.max(most, (now += c));
  return most;
}
