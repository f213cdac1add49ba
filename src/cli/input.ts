/** Text from standard input: all of it, or line by line as it comes. */
import { EXIT, UserError } from '../base/index.ts';
import type { Source } from './terminal.ts';

/** Throws UserError E_UTF8 (damaged) for bytes that are not UTF-8. */
export async function wholeInput(input: Source): Promise<string> {
  let text = '';
  for await (const piece of decoded(input)) text += piece;
  return text;
}

/** Lines without their ends; a last one without line feed counts, if there is anything in it. */
export async function* inputLines(input: Source): AsyncGenerator<string> {
  let held = '';
  for await (const piece of decoded(input)) {
    const lines = (held + piece).split('\n');
    held = lines.pop()!;
    for (const line of lines) yield line.replace(/\r$/, '');
  }
  if (held !== '') yield held;
}

async function* decoded(input: Source): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const decode = (bytes?: Uint8Array): string => {
    try {
      return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
    } catch {
      throw new UserError('E_UTF8', EXIT.damaged, {
        message: 'not UTF-8',
        place: 'standard input',
        hint: 'convert it, for example with iconv -t UTF-8',
      });
    }
  };
  for await (const piece of input) yield typeof piece === 'string' ? piece : decode(piece);
  yield decode();
}
