/** The Brown corpus without its tags, spaced as print is: one document a sample of about 2,000 words. */
import type { PackageFiles } from './package-files.ts';

/** Samples of one set of genres (`news`, `romance`, …). */
export function* brown(files: PackageFiles, wanted: (genre: string) => boolean): Generator<string> {
  for (const line of files.text('cats.txt').split('\n').filter(Boolean)) {
    const [sample, genre] = line.split(' ');
    if (wanted(genre!)) yield untag(files.text(sample!));
  }
}

/** Paragraphs begin with a tab, sentences stand on lines, a token is `word/tag`. */
export function untag(tagged: string): string {
  return (
    tagged
      .split(/\n\s*\n/)
      .map((paragraph) =>
        paragraph
          .split(/\s+/)
          .filter(Boolean)
          .map((token) => token.slice(0, Math.max(0, token.lastIndexOf('/')))),
      )
      // `**zg` and the like encode what a punched card could not print.
      .map((words) => space(words.filter((w) => w && !w.startsWith('**'))))
      .filter(Boolean)
      .join('\n\n')
  );
}

const CLOSES = /^([,.;:?!)\]]|'')$/;
const OPENS = /^([([]|``)$/;
/** The tagged edition writes these twice where they end a sentence. */
const DOUBLED = /^[;:?!]$/;

function space(words: readonly string[]): string {
  let text = '';
  let open = true;
  let single = false;
  words.forEach((word, i) => {
    const before = words[i - 1];
    // `Jr. .` has one stop in print, `12'' ''` one sign of inches.
    if ((DOUBLED.test(word) && before === word) || (word === '.' && before?.endsWith('.')) || (word === "''" && /.''$/.test(before ?? '')))
      return;
    // A lone apostrophe opens and closes by turns.
    if (word === "'") single = !single;
    const closes = word === "'" ? !single : CLOSES.test(word);
    text += (open || closes ? '' : ' ') + word.replaceAll(/``|''+/g, '"');
    open = word === "'" ? single : OPENS.test(word);
  });
  return text;
}
