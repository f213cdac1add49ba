/** Surroundings for tests: streams that remember, a standard input that is given, signals that are sent by hand. */
import { EventEmitter } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../base/index.ts';
import { chooseExecutor } from '../exec/index.ts';
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

const WORDS = 'the router sends each token to two experts and adds what they say by weight of its trust in them'.split(' ');
const sentence = (n: number): string =>
  Array.from({ length: 40 }, (_, i) => WORDS[(n * 7 + i * i + (i % (n + 2))) % WORDS.length]).join(' ');

/** A folder of texts in two domains: enough to train the smallest of models. */
export function writeTexts(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const [domain, first] of [
    ['left', 0],
    ['right', 100],
  ] as const)
    writeFileSync(
      join(folder, `${domain}.jsonl`),
      Array.from({ length: 60 }, (_, n) => JSON.stringify({ text: sentence(first + n) })).join('\n'),
    );
}

/** Whether runs can be trained here; says so where not. */
export function engineIsBuilt(): boolean {
  try {
    return Boolean(chooseExecutor());
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.log(`skipped: ${error.message}`);
    return false;
  }
}

/** Runs a command line in this process. */
export async function call(
  argv: readonly string[],
  { env = {}, input = '', verbs, signals = new EventEmitter(), onWrite = () => {} }: FakeOptions = {},
): Promise<Called> {
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
