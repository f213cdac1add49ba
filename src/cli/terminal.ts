/** Where a verb writes: results on stdout, talk on stderr; colours and cursor moves only where a person watches. */
import { createColors } from 'picocolors';

/** The part of a process stream that is used here. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

/** The part of standard input that is used here. */
export interface Source extends AsyncIterable<Uint8Array | string> {
  readonly isTTY?: boolean | undefined;
}

/** What surrounds a call: streams and environment variables. */
export interface Host {
  readonly input: Source;
  readonly out: Sink;
  readonly err: Sink;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export type Colors = ReturnType<typeof createColors>;

/** How results are asked for: as text, as one JSON document, or as JSON Lines with the document last. */
export type Form = 'text' | 'json' | 'jsonl';

export interface Terminal extends Host {
  readonly form: Form;
  /** 0; 1 with -v: details; 2 with -vv: stack traces too. */
  readonly verbosity: number;
  /** Talk is read by a person who sees cursor moves. */
  readonly live: boolean;
  readonly colors: { readonly out: Colors; readonly err: Colors };
  /** A line of talk. */
  say(line: string): void;
  /** Sends talk elsewhere for a while: a live region must know what scrolls by above it. Undefined: back to stderr. */
  divert(to: ((line: string) => void) | undefined): void;
  /** A line of talk for -v. */
  detail(line: string): void;
  /** A piece of the result as soon as it is there; nothing under --json. */
  print(text: string): void;
  /** An event under --jsonl; nothing otherwise. */
  event(event: object): void;
}

export function openTerminal(host: Host, { form, verbosity }: { form: Form; verbosity: number }): Terminal {
  const watched = (sink: Sink): boolean => Boolean(sink.isTTY) && !host.env['CI'] && host.env['TERM'] !== 'dumb';
  const colored = (sink: Sink): Colors => createColors(watched(sink) && !host.env['NO_COLOR']);
  let diverted: ((line: string) => void) | undefined;
  const say = (line: string): void => (diverted ? diverted(line) : void host.err.write(`${line}\n`));
  return {
    ...host,
    form,
    verbosity,
    live: watched(host.err),
    colors: { out: colored(host.out), err: colored(host.err) },
    say,
    divert: (to) => void (diverted = to),
    detail: (line) => verbosity > 0 && say(line),
    print: (text) => form === 'text' && host.out.write(text),
    event: (event) => form === 'jsonl' && host.out.write(`${JSON.stringify(event)}\n`),
  };
}
