/** Training of a Unigram vocabulary: expectation maximisation over all ways to cut words, with pruning (Kudo 2018, as SentencePiece does it). */
import { breathing } from '../breathe.ts';
import { type Alphabet, FIRST } from './characters.ts';
import { layOut } from './corpus.ts';
import type { CountedWords } from './counts.ts';
import { type Maximiser, maximiser } from './expectation-maximiser.ts';
import { type PieceNeeds, type ScoredPiece, tooSmall } from './needs.ts';
import { seedPieces } from './seeds.ts';

/** Pruning stops at so many times the vocabulary; of those pieces the likeliest are taken. */
const SURPLUS = 1.1;
/** Between the scores of characters that no step kept (kMinScorePenaltyDelta). */
const PENALTY_STEP = 0.0001;

/**
 * At most `most` pieces, all characters of the alphabet among them, best first. One thread: a 32k vocabulary of 24 MB takes seconds.
 * Throws UserError E_TOKENIZER_SIZE when the alphabet does not fit; the reason of `signal` when it aborts.
 */
export async function trainUnigram(
  words: CountedWords,
  alphabet: Alphabet,
  { options, most, signal, onProgress }: PieceNeeds,
): Promise<ScoredPiece[]> {
  const breathe = breathing(signal);
  const corpus = layOut(words, alphabet, options);
  await breathe();
  const { lattice, seeds, weights } = await seedPieces(corpus, alphabet, { options, breathe });
  const model = maximiser(lattice, seeds, weights);
  const enough = Math.floor(options.vocabSize * SURPLUS);
  for (;;) {
    for (let step = 0; step < options.numSubIterations; step++) {
      model.step();
      onProgress(model.size());
      await breathe();
    }
    if (model.size() <= enough || !model.prune(Math.max(enough, Math.floor(options.shrinkingFactor * model.size())))) break;
    onProgress(model.size());
    await breathe();
  }
  return bestPieces(model, alphabet, { text: corpus.text, most });
}

/** All characters, then the likeliest of the others, sorted by score. */
function bestPieces(
  { pieces: { count, singles, places, lengths, scores }, kept }: Maximiser,
  { characters }: Alphabet,
  { text, most }: { text: Int32Array; most: number },
): ScoredPiece[] {
  const single = characters.slice(FIRST);
  if (single.length > most) throw tooSmall(single.length, most);
  const least = scores.subarray(0, count).reduce((a, b, id) => (kept[id] ? Math.min(a, b) : a), Infinity);
  let penalties = 0;
  const required = single.map((c, i) => ({ text: c, score: kept[i + 1] ? scores[i + 1]! : least + PENALTY_STEP * penalties++ }));
  const longer = Array.from({ length: count - singles }, (_, i) => {
    const id = singles + i;
    const symbols = text.subarray(places[id]!, places[id]! + lengths[id]!);
    return { text: Array.from(symbols, (s) => characters[s]!).join(''), score: scores[id]! };
  });
  return [...required, ...longer.sort(byScore).slice(0, most - required.length)].sort(byScore);
}

const byScore = (a: ScoredPiece, b: ScoredPiece): number => b.score - a.score || (a.text < b.text ? -1 : 1);
