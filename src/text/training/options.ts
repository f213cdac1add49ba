/** What a SentencePiece trainer can be told, in SentencePiece's own words. */
import { EXIT, type Problem, UserError } from '../../base/index.ts';
import type { NormalizationName } from '../normalization-rules.ts';

export interface TrainerOptions {
  readonly vocabSize: number;
  /** Share of all characters that the alphabet covers; rarer ones become unknown, or bytes. */
  readonly characterCoverage: number;
  /** Unknown characters are written as pieces of one byte each. */
  readonly byteFallback: boolean;
  readonly normalizationRuleName: NormalizationName;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  /** No piece reaches over a blank. */
  readonly splitByWhitespace: boolean;
  /** No piece joins digits with other characters. */
  readonly splitByNumber: boolean;
  /** No piece joins two scripts (kana and Han count as one). */
  readonly splitByUnicodeScript: boolean;
  /** Every digit is a piece of its own. */
  readonly splitDigits: boolean;
  /** The blank belongs to the end of a word. */
  readonly treatWhitespaceAsSuffix: boolean;
  readonly allowWhitespaceOnlyPieces: boolean;
  /** Characters. */
  readonly maxSentencepieceLength: number;
  /** Bytes; longer lines are passed over. */
  readonly maxSentenceLength: number;
  /** Candidates that Unigram starts from. */
  readonly seedSentencepieceSize: number;
  /** Share of the pieces that each round of Unigram keeps. */
  readonly shrinkingFactor: number;
  /** Steps of expectation maximisation between two prunings. */
  readonly numSubIterations: number;
  /** Always one piece, wherever they stand. */
  readonly userDefinedSymbols: readonly string[];
  /** Pieces that no text encodes to. */
  readonly controlSymbols: readonly string[];
  /** Characters that the alphabet has whatever their frequency. */
  readonly requiredChars: string;
  /** Fewer pieces than asked for are an error. */
  readonly hardVocabLimit: boolean;
  /** Ids of the special pieces; −1: none. */
  readonly unkId: number;
  readonly bosId: number;
  readonly eosId: number;
  readonly padId: number;
  readonly unkPiece: string;
  readonly bosPiece: string;
  readonly eosPiece: string;
  readonly padPiece: string;
  /** What an unknown piece is decoded to. */
  readonly unkSurface: string;
}

/** SentencePiece's defaults (sentencepiece_model.proto). */
export const TRAINER_DEFAULTS: TrainerOptions = {
  vocabSize: 8000,
  characterCoverage: 0.9995,
  byteFallback: false,
  normalizationRuleName: 'nmt_nfkc',
  addDummyPrefix: true,
  removeExtraWhitespaces: true,
  splitByWhitespace: true,
  splitByNumber: true,
  splitByUnicodeScript: true,
  splitDigits: false,
  treatWhitespaceAsSuffix: false,
  allowWhitespaceOnlyPieces: false,
  maxSentencepieceLength: 16,
  maxSentenceLength: 4192,
  seedSentencepieceSize: 1_000_000,
  shrinkingFactor: 0.75,
  numSubIterations: 2,
  userDefinedSymbols: [],
  controlSymbols: [],
  requiredChars: '',
  hardVocabLimit: true,
  unkId: 0,
  bosId: 1,
  eosId: 2,
  padId: -1,
  unkPiece: '<unk>',
  bosPiece: '<s>',
  eosPiece: '</s>',
  padPiece: '<pad>',
  unkSurface: ' \u2047 ',
};

/** Least and most that SentencePiece's trainer takes; without a rule any number goes. */
const RANGES: Partial<Record<keyof TrainerOptions, readonly [number, number]>> = {
  vocabSize: [1, 4_000_000],
  characterCoverage: [0.98, 1],
  maxSentencepieceLength: [1, 512],
  maxSentenceLength: [10, 1_073_741_824],
  seedSentencepieceSize: [1, 4_000_000],
  shrinkingFactor: [0.5, 0.95],
  numSubIterations: [1, 10],
};

/** Throws UserError E_TOKENIZER_OPTION with every option that is out of range; `nameOf` is how the user writes an option. */
export function checkRanges(options: TrainerOptions, nameOf: (key: string) => string = (key) => key): void {
  const problems: Problem[] = Object.entries(RANGES).flatMap(([key, [least, most]]) => {
    const value = options[key as keyof TrainerOptions] as number;
    if (value >= least && value <= most) return [];
    return [{ message: `${value} is not from ${least} to ${most}`, place: nameOf(key) }];
  });
  if (problems.length > 0) throw new UserError('E_TOKENIZER_OPTION', EXIT.usage, problems);
}
