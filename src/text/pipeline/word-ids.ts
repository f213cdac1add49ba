/** Ids of words, remembered: texts say the same words again and again, and what is inside a word depends on the word alone. */
import { type Aligned, aligned, slices } from './aligned.ts';
import type { Model, Tokens } from './models.ts';
import { spelt, type Stages, wholeText } from './pre-tokenizers.ts';
import { wordWriter } from './words-to-bytes.ts';

/** Longer words seldom come again. */
const LONGEST = 32;
const REMEMBERED = 50_000;

/** Appends the ids of a text that is normalized and not empty. */
export function wordIds({ cut, inside, placed }: Stages, model: Model): (source: Aligned, ids: number[]) => void {
  const write = wordWriter(model.squeezed);
  const known = new Map<string, readonly number[]>();
  const encode = (source: Aligned, bytes: boolean): readonly number[] => {
    const tokens: Tokens = { ids: [], starts: [], ends: [] };
    for (const words of inside(source)) {
      const written = write(bytes ? { ...words, bytes } : words);
      for (let i = 0; i < words.cuts.length; i += 2) model.encode(written.bytes, written.cuts[i]!, written.cuts[i + 1]!, tokens);
    }
    return tokens.ids;
  };
  const remembered = (word: string, bytes: boolean): readonly number[] => {
    if (word.length > LONGEST) return encode(aligned(word, 'none'), bytes);
    const before = known.get(word);
    if (before) return before;
    const made = encode(aligned(word, 'none'), bytes);
    if (known.size >= REMEMBERED) known.clear();
    known.set(word, made);
    return made;
  };
  const push = (more: readonly number[], ids: number[]): void => {
    for (const id of more) ids.push(id);
  };
  return (source, ids) => {
    for (const found of cut(source)) {
      const { source: all, cuts, bytes } = inside === wholeText ? found : spelt(found);
      if (placed) for (const word of slices(all, cuts)) push(encode(word, bytes), ids);
      else for (let i = 0; i < cuts.length; i += 2) push(remembered(all.text.slice(cuts[i], cuts[i + 1]), bytes), ids);
    }
  };
}
