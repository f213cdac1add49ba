/** WordNet as a dictionary: documents of consecutive entries, each with its words, part of speech, definition and examples. */
import { grouped } from '../source.ts';
import type { PackageFiles } from './package-files.ts';

const PARTS = { noun: 'noun', verb: 'verb', adj: 'adjective', adv: 'adverb' } as const;
/** Bytes of a document. */
const DOCUMENT = 3000;

export function* wordnet(files: PackageFiles): Generator<string> {
  for (const [file, part] of Object.entries(PARTS))
    yield* grouped(
      files
        .text(`dict/data.${file}`)
        .split('\n')
        .map((line) => entry(line, part)),
      DOCUMENT,
    );
}

/** `offset lexfile type w_cnt(hex) (word lex_id)… | gloss` (wndb(5WN)); lines of the licence begin with a space. */
export function entry(line: string, part: string): string {
  const bar = line.indexOf(' | ');
  if (bar < 0 || line.startsWith(' ')) return '';
  const fields = line.slice(0, bar).split(' ');
  const words = Array.from({ length: parseInt(fields[3]!, 16) }, (_, i) =>
    fields[4 + 2 * i]!.replace(/\((a|p|ip)\)$/, '').replaceAll('_', ' '),
  );
  return `${words.join(', ')} (${part}): ${line.slice(bar + 3).trim()}\n`;
}
