/** Surroundings for tests: streams that remember, a standard input that is given, signals that are sent by hand. */
import { EventEmitter } from 'node:events';
import { main, type Surroundings } from './main.ts';
import type { Group } from './command.ts';

export interface Called {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

export interface FakeOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | readonly Uint8Array[];
  readonly verbs?: Group;
  /** As process events. */
  readonly signals?: EventEmitter;
  /** Told of every piece that is written. */
  readonly onWrite?: (text: string) => void;
}

/** Runs a command line in this process. */
export async function call(argv: readonly string[], { env = {}, input = '', verbs, signals = new EventEmitter(), onWrite = () => {} }: FakeOptions = {}): Promise<Called> {
  const written = { out: '', err: '' };
  const sink = (name: 'out' | 'err') => ({
    write(text: string) {
      written[name] += text;
      onWrite(text);
    },
  });
  const around: Surroundings = {
    input: (async function* () {
      yield* typeof input === 'string' ? [input] : input;
    })(),
    out: sink('out'),
    err: sink('err'),
    env,
    signals,
    quit(exit) {
      throw new Error(`quit with ${exit}`);
    },
  };
  const exit = await main(argv, around, ...(verbs ? [verbs] : []));
  return { exit, ...written };
}
