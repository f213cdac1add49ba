/** Pre-tokenizer: cuts text into the words inside which pieces are merged. */

/**
 * GPT-2's pattern: contractions, words, numbers and punctuation with the space before them, runs of white space.
 * White space is Unicode's property, which differs from JavaScript's \s in U+0085 and U+FEFF.
 */
const WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** Words in order; joined they are the text. */
export const words = (text: string): readonly string[] => text.match(WORDS) ?? [];
