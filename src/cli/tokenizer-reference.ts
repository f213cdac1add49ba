/** Tokenizers as they are named on a command line: a file, a folder with one, or a run. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, UserError } from '../base/index.ts';
import { findRun } from '../runs/index.ts';
import { loadTokenizer, type Tokenizer } from '../text/index.ts';
import { runsRoot, shownPath } from './surroundings.ts';
import type { Terminal } from './terminal.ts';

export const TOKENIZER_FORMS = 'a tokenizer.json, a SentencePiece .model, a folder with one, or a run';

const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isFile() ?? false;

/** Throws UserError E_TOKENIZER_UNKNOWN, E_RUN_UNKNOWN (not found) or E_TOKENIZER (damaged). */
export async function tokenizerOf(ref: string, terminal: Terminal): Promise<Tokenizer> {
  const path = await pathOf(ref, terminal);
  const bytes = await readFile(path).catch(() => {
    throw new UserError('E_TOKENIZER_UNKNOWN', EXIT.notFound, {
      message: 'there is no tokenizer',
      place: shownPath(path),
      hint: TOKENIZER_FORMS,
    });
  });
  try {
    return loadTokenizer(bytes);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const placed = error.problems.map((p) => ({ ...p, place: [shownPath(path), p.place].filter(Boolean).join(', ') }));
    throw new UserError(error.code, error.exit, placed);
  }
}

async function pathOf(ref: string, { env }: Terminal): Promise<string> {
  if (await isFile(ref)) return ref;
  for (const name of ['tokenizer.json', 'tokenizer.model', 'spiece.model']) if (await isFile(join(ref, name))) return join(ref, name);
  if (/\.(json|model)$/.test(ref)) return ref;
  return join((await findRun(ref, runsRoot(env))).dir, 'tokenizer.json');
}
