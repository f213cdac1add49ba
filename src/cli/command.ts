/** What a verb is: a name, a help page with an example, arguments and flags with types, and a body. */
import { EXIT, parseCount, parseDuration, suggest, UserError } from '../base/index.ts';
import type { Terminal } from './terminal.ts';

/** A value given on the command line, read from the texts that were given for it (none: absent). Throws UserError at `place`. */
interface Input<T> {
  readonly about: string;
  read(given: readonly string[], place: string): T;
}

/** A positional argument; `form` is how the help page shows it. */
export interface Argument<T> extends Input<T> {
  readonly count: 'one' | 'at most one' | 'any';
}

/** A flag; its name is its key in kebab case. `form` stands for its value; a flag without one is a switch. */
export interface Flag<T> extends Input<T> {
  readonly form?: string;
}

type Parse<T> = (text: string, place: string) => T;
export type Arguments = Readonly<Record<string, Argument<unknown>>>;
export type Flags = Readonly<Record<string, Flag<unknown>>>;
export type Values<I extends Readonly<Record<string, Input<unknown>>>> = {
  readonly [K in keyof I]: I[K] extends Input<infer T> ? T : never;
};

/** What a verb answers: a document for `--json` (schema and data), or the same as text. */
export interface Answer {
  /** Such as `openmoe.runs/1`. */
  readonly schema: string;
  readonly data: object;
  readonly text: string;
  /** Exit code; 0 unless said. */
  readonly exit?: number;
}

export interface Invocation<A extends Arguments, F extends Flags> {
  readonly args: Values<A>;
  readonly flags: Values<F>;
  readonly terminal: Terminal;
  /** Aborts at the first Ctrl-C or SIGTERM, for verbs that save. */
  readonly signal: AbortSignal;
}

export interface Command<A extends Arguments = Arguments, F extends Flags = Flags> {
  /** One sentence without a full stop. */
  readonly about: string;
  /** Lines of the help page, each a command that works, without `openmoe`. */
  readonly examples: readonly [string, ...string[]];
  readonly args: A;
  readonly flags: F;
  /** Saves when stopped: the first signal asks it to, instead of ending the process. */
  readonly saves: boolean;
  /** Prints events as JSON Lines under `--jsonl`. */
  readonly streams: boolean;
  run(invocation: Invocation<A, F>): Promise<Answer>;
}

/** Verbs under one word, loaded when they are called. */
export interface Group {
  readonly about: string;
  readonly examples: readonly [string, ...string[]];
  readonly entries: Readonly<Record<string, Entry>>;
}

export interface Entry {
  readonly about: string;
  load(): Promise<Command | Group>;
}

export const isGroup = (loaded: Command | Group): loaded is Group => 'entries' in loaded;

/** Checks the types of a verb, and forgets those of its arguments and flags. */
export function command<const A extends Arguments = Record<never, never>, const F extends Flags = Record<never, never>>(
  verb: Pick<Command<A, F>, 'about' | 'examples' | 'run'> & {
    readonly args?: A;
    readonly flags?: F;
    readonly saves?: boolean;
    readonly streams?: boolean;
  },
): Command {
  return { saves: false, streams: false, args: {}, flags: {}, ...verb } as unknown as Command;
}

const text: Parse<string> = (given) => given;

export const required = (about: string): Argument<string> => ({ about, count: 'one', read: ([given]) => given! });
export const optional = (about: string): Argument<string | undefined> => ({ about, count: 'at most one', read: ([given]) => given });
export const rest = (about: string): Argument<readonly string[]> => ({ about, count: 'any', read: (given) => given });
/** One of a few words, or none: then `standard` holds. Throws UserError E_USAGE with the nearest. */
export const wordOr = <const W extends string>(words: readonly W[], { about, standard }: { about: string; standard: W }): Argument<W> => ({
  about: `${about}: ${words.join(', ')} (default ${standard})`,
  count: 'at most one',
  read: ([given], place) => parseWord(words)(given ?? standard, place),
});

export const yes = (about: string): Flag<boolean> => ({ about, read: (given) => given.length > 0 });

/** A switch that may also be told `true` or `false`; undefined when it is not given. Throws UserError E_USAGE for another word, which was meant for something else. */
export const trueOrFalse = (about: string): Flag<boolean | undefined> => ({
  form: '[true|false]',
  about,
  read(given, place) {
    const last = given.at(-1);
    if (last === undefined || last === 'true' || last === 'false') return last === undefined ? undefined : last === 'true';
    throw new UserError('E_USAGE', EXIT.usage, {
      message: `${last} is neither true nor false`,
      place,
      hint: `write ${place} true ${last}`,
    });
  },
});

/** A flag with a value; the last one given holds. */
export const value = <T>({ form, about, parse }: { form: string; about: string; parse: Parse<T> }): Flag<T | undefined> => ({
  form,
  about,
  read: (given, place) => (given.length > 0 ? parse(given.at(-1)!, place) : undefined),
});

/** A flag with a value that holds unless another is given; `standard` is written as on the command line. */
export const valueOr = <T>({
  form,
  about,
  parse,
  standard,
}: {
  form: string;
  about: string;
  parse: Parse<T>;
  standard: string;
}): Flag<T> => ({
  form,
  about: `${about} (default ${standard})`,
  read: (given, place) => parse(given.at(-1) ?? standard, place),
});

/** A flag that may be given again and again. */
export const values = ({ form, about }: { form: string; about: string }): Flag<readonly string[]> => ({
  form,
  about,
  read: (given) => given,
});

/** One of these words. Throws UserError E_USAGE with the nearest. */
export const parseWord =
  <const W extends string>(words: readonly W[]): Parse<W> =>
  (given, place) => {
    const found = words.find((w) => w === given);
    if (found !== undefined) return found;
    throw new UserError('E_USAGE', EXIT.usage, {
      message: `${given} is not one of ${words.join(', ')}`,
      place,
      hint: suggest(given, words),
    });
  };
export const parseText = text;
export const parseSeconds: Parse<number> = parseDuration;

/** A whole number from `least` to `most`. Throws UserError E_NUMBER. */
export const parseWithin =
  (least: number, most: number): Parse<number> =>
  (given, place) => {
    const count = parseCount(given, place);
    if (count < least || count > most) throw outside(given, { place, least, most });
    return count;
  };

/** A plain number from `least` to `most`. Throws UserError E_NUMBER. */
export const parseReal =
  (least: number, most: number): Parse<number> =>
  (given, place) => {
    const number = given.trim() === '' ? NaN : Number(given);
    if (!(number >= least && number <= most)) throw outside(given, { place, least, most });
    return number;
  };

function outside(given: string, { place, least, most }: { place: string; least: number; most: number }): UserError {
  const range = most === Infinity || most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `from ${least} to ${most}`;
  return new UserError('E_NUMBER', EXIT.usage, { message: `"${given}" is not a number ${range}`, place });
}
