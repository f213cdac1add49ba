/** Program text: Python of Brython's standard library, TypeScript's declarations, Java of Capacitor. */
import { pieces } from '../source.ts';
import type { PackageFiles } from './package-files.ts';

/** `.py` modules inside Brython's virtual file system; tables of character codes are left out. */
export function* python(files: PackageFiles): Generator<string> {
  const script = files.text('brython_stdlib.js');
  const modules = JSON.parse(script.slice(script.indexOf('{'), script.lastIndexOf('}') + 1)) as Record<
    string,
    readonly [string, string] | number
  >;
  for (const [name, module] of Object.entries(modules)) {
    if (typeof module === 'number') continue; // the time stamp
    const [kind, text] = module;
    if (kind !== '.py' || /^(encodings\.|_sysconfigdata|cmath$)/.test(name)) continue;
    yield* pieces(tidy(text), 4000);
  }
}

/** Brython blanks comments and docstrings out and leaves their lines. */
const tidy = (text: string): string =>
  text
    .replaceAll(/[ \t]+$/gm, '')
    .replaceAll(/\n{3,}/g, '\n\n')
    .trimStart();

/** `lib.*.d.ts` and `typescript.d.ts`; the worker's library repeats the browser's. */
export function* typescript(files: PackageFiles): Generator<string> {
  for (const path of files.list('lib').filter((p) => p.endsWith('.d.ts') && !p.includes('webworker')))
    yield* pieces(withoutLicence(files.text(path)), 4000);
}

export function* java(files: PackageFiles): Generator<string> {
  for (const path of files.list('capacitor/src/main').filter((p) => p.endsWith('.java')))
    yield* pieces(withoutLicence(files.text(path)), 1500);
}

const withoutLicence = (text: string): string =>
  text.replace(/^\uFEFF?\s*\/\*[^]*?\*\/\s*/, (comment) => (/licen[cs]e/i.test(comment) ? '' : comment));
