/** The tokenizer of the JAX reference: `data/sentencepiece.json` and the SentencePiece model that it names. */
import { loadUmt5, type Umt5 } from '../text/index.ts';
import { type FixtureFolder, readJson } from './reading.ts';
import type { Fixture, Sheet } from './row.ts';

interface SentencePieceFile {
  readonly model: string;
  readonly extra_ids: number;
  readonly vocab_size: number;
  readonly pad_id: number;
  readonly eos_id: number;
  readonly texts: readonly {
    readonly text: string;
    readonly ids: readonly number[];
    readonly ids_python?: readonly number[];
    readonly decoded: string;
  }[];
  readonly mode_prefixes: readonly {
    readonly prefix: string;
    readonly inputs: readonly number[];
    readonly with_prefix: readonly number[];
    readonly inputs_length: number;
    readonly after_trim_eos: readonly number[];
  }[];
  readonly first_pieces: readonly string[];
  readonly last_pieces: Readonly<Record<string, string>>;
}

const FILE = 'data/sentencepiece.json';

export async function sentencePieceFixtures(folder: FixtureFolder): Promise<Fixture[]> {
  const { model } = await readJson<SentencePieceFile>(folder, FILE);
  return [{ name: 'sentencepiece', files: [FILE, `data/${model}`], run: (to) => check(folder, to) }];
}

async function check(folder: FixtureFolder, to: Sheet): Promise<void> {
  const want = await readJson<SentencePieceFile>(folder, FILE);
  const tokenizer = loadUmt5(await folder.read(`data/${want.model}`), { extraIds: want.extra_ids });
  to.same(
    'sizes and special ids',
    [tokenizer.vocabSize, tokenizer.bos ?? -1, tokenizer.eos ?? -1],
    [want.vocab_size, want.pad_id, want.eos_id],
  );
  for (const { text, ids, ids_python: python, decoded } of want.texts) {
    to.same('ids of texts', counted(tokenizer.encode(text)), counted(ids));
    if (python) to.same('ids of texts', counted(tokenizer.encode(text)), counted(python));
    to.same('texts of ids', codes(tokenizer.decode(ids)), codes(decoded));
  }
  for (const p of want.mode_prefixes) {
    const ids = [...tokenizer.encode(p.prefix), ...p.inputs];
    to.same('mode prefixes', ids, p.with_prefix);
    to.same('mode prefixes, trimmed', [...ids.slice(0, p.inputs_length - 1), want.eos_id], p.after_trim_eos);
  }
  want.first_pieces.forEach((piece, id) => to.same('first pieces', counted([...tokenizer.bytesOf(id)]), counted(bytesOf(piece))));
  for (const [id, piece] of Object.entries(want.last_pieces)) to.same('sentinels', [sentinelOf(piece, tokenizer)], [Number(id)]);
}

/** A length before numbers that may be none. */
const counted = (ids: readonly number[]): number[] => [ids.length, ...ids];
const codes = (text: string): number[] => counted(Array.from(text, (c) => c.codePointAt(0)!));

/** `<0xNN>` is a byte; `<pad>`, `</s>` and `<unk>` stand for none. */
function bytesOf(piece: string): number[] {
  const byte = /^<0x([0-9A-F]{2})>$/.exec(piece)?.[1];
  if (byte !== undefined) return [Number.parseInt(byte, 16)];
  return /^<\/?\w+>$/.test(piece) ? [] : [...new TextEncoder().encode(piece.replaceAll('\u2581', ' '))];
}

const sentinelOf = (piece: string, tokenizer: Umt5): number => {
  const k = /^\u2581<extra_id_(\d+)>$/.exec(piece)?.[1];
  return k === undefined ? -1 : tokenizer.sentinel(Number(k));
};
