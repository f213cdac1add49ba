/** The one place where failures become words, documents and exit codes. */
import { EXIT, type Problem, UserError } from '../base/index.ts';
import { writeCrash } from './crash.ts';
import type { Terminal } from './terminal.ts';

/** Reports a failure and returns the exit code: that of a UserError, or 1 for a bug of ours. */
export function report(error: unknown, terminal: Terminal, argv: readonly string[]): number {
  const { code, exit, problems, text } = error instanceof UserError ? { ...about(error), text: error.message } : bug(error, argv);
  for (const line of text.split('\n')) terminal.say(terminal.colors.err.red(line));
  if (terminal.verbosity >= 2 && error instanceof Error) terminal.say(error.stack ?? '');
  if (terminal.form !== 'text') terminal.out.write(`${JSON.stringify(errorDocument(code, problems))}\n`);
  return exit;
}

export const errorDocument = (code: string, problems: readonly Problem[]) => ({ schema: 'openmoe.error/1', code, problems });

const about = ({ code, exit, problems }: UserError): Pick<UserError, 'code' | 'exit' | 'problems'> => ({ code, exit, problems });

function bug(error: unknown, argv: readonly string[]): Pick<UserError, 'code' | 'exit' | 'problems'> & { text: string } {
  const message = error instanceof Error ? error.message : String(error);
  const file = writeCrash(error, argv);
  const problem = {
    message: message.startsWith('internal:') ? message : `internal: ${message}`,
    hint: file ? `this is a bug of openmoe; its details are in ${file}` : 'this is a bug of openmoe; -vv shows more',
  };
  return { code: 'E_BUG', exit: EXIT.bug, problems: [problem], text: `error[E_BUG] ${problem.message} · ${problem.hint}` };
}
