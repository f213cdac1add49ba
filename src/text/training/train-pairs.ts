/** Training of a SentencePiece BPE: pairs of characters and pieces inside words, merged where one piece may hold both. */
import { breathing } from '../breathe.ts';
import { type Alphabet, FIRST, pieceRule } from './characters.ts';
import { layOut } from './corpus.ts';
import type { CountedWords } from './counts.ts';
import { type PieceNeeds, type ScoredPiece, tooSmall } from './needs.ts';
import { pairLearner, type PairWords } from './pair-learner.ts';

/**
 * At most `most` pieces: merges in the order in which they were found, then the characters of the alphabet; scores fall from 0 by one each.
 * Throws UserError E_TOKENIZER_SIZE when the alphabet does not fit; the reason of `signal` when it aborts.
 */
export async function trainPairs(
  words: CountedWords,
  alphabet: Alphabet,
  { options, most, signal, onProgress }: PieceNeeds,
): Promise<ScoredPiece[]> {
  const characters = alphabet.characters.slice(FIRST);
  if (characters.length > most) throw tooSmall(characters.length, most);
  const breathe = breathing(signal);
  const { text, starts, counts } = layOut(words, alphabet, options);
  await breathe();
  // A word ends before its END.
  const lengths = Int32Array.from(counts, (_, w) => starts[w + 1]! - starts[w]! - 1);
  const layout: PairWords = { ids: text.slice(), starts, lengths, counts };
  const strings = symbolStrings(alphabet, pieceRule(alphabet, options));
  const next = pairLearner(layout, strings.vocabulary, 1);
  while (strings.merged() < most - characters.length && next()) if (await breathe()) onProgress(strings.merged());
  return [...strings.texts(), ...characters].map((piece, rank) => ({ text: piece, score: -rank }));
}

/** Pieces as strings of symbols; a piece of one symbol has its number. */
function symbolStrings({ characters }: Alphabet, allowed: (text: Int32Array, from: number, to: number) => boolean) {
  const symbols: Int32Array[] = characters.map((_, s) => Int32Array.of(s));
  const texts = [...characters];
  const idOf = new Map(texts.map((text, id) => [text, id]));
  let scratch = new Int32Array(64);
  return {
    merged: (): number => texts.length - characters.length,
    texts: (): string[] => texts.slice(characters.length),
    vocabulary: {
      joins(left: number, right: number): boolean {
        const [a, b] = [symbols[left]!, symbols[right]!];
        if (a.length + b.length > scratch.length) scratch = new Int32Array(2 * (a.length + b.length));
        scratch.set(a);
        scratch.set(b, a.length);
        return allowed(scratch, 0, a.length + b.length);
      },
      join(left: number, right: number): number {
        const text = texts[left]! + texts[right]!;
        const into = idOf.get(text) ?? texts.length;
        if (into === texts.length) {
          idOf.set(text, into);
          texts.push(text);
          symbols.push(Int32Array.of(...symbols[left]!, ...symbols[right]!));
        }
        return into;
      },
    },
  };
}
