/** From texts to a SentencePiece model: words are counted as the texts come, the alphabet is chosen, pieces are found. */
import { EXIT, UserError } from '../../base/index.ts';
import { breathing } from '../breathe.ts';
import { charsmapOf } from '../normalization-rules.ts';
import { META } from '../pieces.ts';
import { type NormalizerSpec, PIECE, type SentencePieceModel } from '../sentencepiece-model.ts';
import { sentencePieceNormalizer } from '../sentencepiece-normalizer.ts';
import { alphabetOf } from './characters.ts';
import { wordCounter } from './counts.ts';
import { metaPieces } from './meta-pieces.ts';
import type { PieceNeeds, ScoredPiece } from './needs.ts';
import type { TrainerOptions } from './options.ts';
import { trainPairs } from './train-pairs.ts';
import { trainUnigram } from './train-unigram.ts';

export interface PieceProgress {
  readonly phase: 'count' | 'pieces';
  /** UTF-16 units read; or pieces there are, which fall to the vocabulary's size (Unigram) or grow to it (BPE). */
  readonly done: number;
}

export interface TrainedPieces {
  readonly model: SentencePieceModel;
  readonly lines: number;
  /** Lines passed over: longer than `maxSentenceLength`, or with U+2585, which SentencePiece reserves. */
  readonly skipped: number;
  /** Distinct words. */
  readonly words: number;
}

interface Training {
  readonly options: TrainerOptions;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: PieceProgress) => void;
}

/**
 * Trains as SentencePiece does, on one thread; the same texts give the same model. Lines are what SentencePiece calls sentences.
 * Throws UserErrors E_TOKENIZER_SYMBOL, E_TOKENIZER_SIZE (too small for the alphabet, or too large for the text), E_TOKENIZER_EMPTY (exit 2).
 */
export async function trainPieces(
  kind: 'unigram' | 'bpe',
  texts: Iterable<string> | AsyncIterable<string>,
  { options, signal, onProgress = () => {} }: Training,
): Promise<TrainedPieces> {
  const meta = metaPieces(options);
  const normalizer = normalizerOf(options);
  const counter = wordCounter(options, lineNormalizer(normalizer, options));
  const breathe = breathing(signal);
  let read = 0;
  for await (const text of texts) {
    counter.add(text);
    read += text.length;
    if (await breathe()) onProgress({ phase: 'count', done: read });
  }
  const { counts, lines, skipped } = counter;
  if (counts.size === 0) throw empty(skipped, options);
  const needs: PieceNeeds = {
    options,
    most: Math.max(0, options.vocabSize - meta.size),
    signal,
    onProgress: (done) => onProgress({ phase: 'pieces', done }),
  };
  const found = await (kind === 'unigram' ? trainUnigram : trainPairs)(counter, alphabetOf(counts, options), needs);
  checkFound(found.length, needs.most, { options, meta });
  return { model: assembled(kind, found, { options, meta, normalizer }), lines, skipped, words: counts.size };
}

const empty = (skipped: number, { maxSentenceLength }: TrainerOptions): UserError =>
  new UserError('E_TOKENIZER_EMPTY', EXIT.usage, {
    message: skipped > 0 ? `all ${skipped} lines are passed over` : 'there is no text to train on',
    ...(skipped > 0 && { hint: `lines have more than ${maxSentenceLength} bytes: raise the maximal sentence length` }),
  });

type Meta = ReturnType<typeof metaPieces>;

function checkFound(found: number, wanted: number, { options, meta }: { options: TrainerOptions; meta: Meta }): void {
  const pieces = found + meta.size;
  if (options.hardVocabLimit && found < wanted)
    throw new UserError('E_TOKENIZER_SIZE', EXIT.usage, {
      message: `the text gives ${pieces} pieces, not ${options.vocabSize}`,
      hint: 'ask for fewer, give more text, or lift the hard limit',
    });
  const beyond = [...meta].find(([id]) => id >= pieces);
  if (beyond)
    throw new UserError('E_TOKENIZER_SYMBOL', EXIT.usage, {
      message: `${beyond[1].piece} has the id ${beyond[0]}, and there are only ${pieces} pieces`,
    });
}

const normalizerOf = (options: TrainerOptions): NormalizerSpec => ({
  charsmap: charsmapOf(options.normalizationRuleName),
  addDummyPrefix: options.addDummyPrefix,
  removeExtraWhitespaces: options.removeExtraWhitespaces,
  escapeWhitespaces: true,
});

/** Lines as the tokenizer will see them, with a plain blank for ▁. */
function lineNormalizer(spec: NormalizerSpec, { treatWhitespaceAsSuffix }: TrainerOptions): (line: string) => string {
  const normalize = sentencePieceNormalizer({ spec, whitespaceAsSuffix: treatWhitespaceAsSuffix, verbatim: undefined });
  const encoder = new TextEncoder();
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let source = new Uint8Array(4096);
  return (line) => {
    if (source.length < 3 * line.length) source = new Uint8Array(6 * line.length);
    const { bytes, length } = normalize(source, encoder.encodeInto(line, source).written, false);
    for (let i = 0; i < length; i++) if (bytes[i] === META) bytes[i] = BLANK;
    return decoder.decode(bytes.subarray(0, length));
  };
}

const BLANK = 0x20;

/** Meta pieces at their ids, the others in the places between. */
function assembled(
  kind: 'unigram' | 'bpe',
  found: readonly ScoredPiece[],
  { options, meta, normalizer }: { options: TrainerOptions; meta: Meta; normalizer: NormalizerSpec },
): SentencePieceModel {
  const rest = found.values();
  const pieces = Array.from({ length: found.length + meta.size }, (_, id) => {
    const special = meta.get(id);
    if (special) return { text: special.piece, score: 0, type: special.type };
    const { text, score } = rest.next().value ?? { text: '', score: 0 };
    return { text: text.replaceAll(' ', '\u2581'), score: Math.fround(score), type: PIECE.normal };
  });
  return {
    kind,
    pieces,
    normalizer,
    denormalizer: undefined,
    byteFallback: options.byteFallback,
    whitespaceAsSuffix: options.treatWhitespaceAsSuffix,
    unkSurface: options.unkSurface,
    names: { bos: options.bosPiece, eos: options.eosPiece, pad: options.padPiece },
  };
}
