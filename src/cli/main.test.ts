/** The command line as a whole: help, mistakes, bugs, signals. */
import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../base/index.ts';
import { command, type Command, type Group, isGroup } from './command.ts';
import { call } from './fake-host.ts';
import { parse } from './parse.ts';
import { OPENMOE } from './verbs.ts';

/** Every verb with the words that call it. */
async function verbsOf(group: Group, before: readonly string[] = []): Promise<{ words: readonly string[]; verb: Command }[]> {
  const loaded = await Promise.all(
    Object.entries(group.entries).map(async ([word, entry]) => ({ words: [...before, word], loaded: await entry.load() })),
  );
  const nested = await Promise.all(loaded.map(async ({ words, loaded: l }) => (isGroup(l) ? verbsOf(l, words) : [{ words, verb: l }])));
  return nested.flat();
}
const verbs = await verbsOf(OPENMOE);

/** Splits a line as a shell does: quotes, and nothing beyond a pipe or redirection. */
const shellWords = (line: string): string[] =>
  [...line.replace(/ [|<>] .*$/, '').matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, single, double, plain]) => single ?? double ?? plain!);

describe('help', () => {
  test.each(verbs.map((v) => [v.words.join(' '), v] as const))(
    'the page of %s exits 0, and its examples are command lines that parse',
    async (name, { words, verb }) => {
      for (const argv of [
        [...words, '--help'],
        ['help', ...words],
        [...words, '--no-such-flag', '-h'],
      ]) {
        const { exit, out, err } = await call(argv);
        expect({ exit, err }).toEqual({ exit: 0, err: '' });
        expect(out).toContain(verb.about.slice(0, 20));
        expect(out).toContain(`openmoe ${name}`);
        expect(out).toContain('--json');
      }
      for (const example of verb.examples) {
        const line = shellWords(example);
        expect(line.slice(0, words.length)).toEqual(words);
        expect(() => parse(name, verb, line.slice(words.length))).not.toThrow();
      }
    },
  );

  test('the overview names every verb, on stdout', async () => {
    for (const argv of [[], ['--help'], ['help']]) {
      const { exit, out, err } = await call(argv);
      expect({ exit, err }).toEqual({ exit: 0, err: '' });
      for (const word of Object.keys(OPENMOE.entries)) expect(out).toMatch(new RegExp(`^  ${word} `, 'm'));
    }
  });

  test('--version is that of the package', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(await call(['--version'])).toEqual({ exit: 0, out: `${version}\n`, err: '' });
    expect(JSON.parse((await call(['--version', '--json'])).out)).toEqual({ schema: 'openmoe.version/1', version });
  });
});

describe('mistakes', () => {
  test('an unknown verb exits 2 and names the nearest', async () => {
    const { exit, out, err } = await call(['trian']);
    expect({ exit, out }).toEqual({ exit: 2, out: '' });
    expect(err).toBe('error[E_VERB] trian: no such verb · at openmoe · did you mean train?\n');
  });

  test('an unknown flag exits 2 and names the nearest', async () => {
    const { exit, err } = await call(['train', 'tiny', '--thread', '2']);
    expect(exit).toBe(2);
    expect(err).toContain('did you mean --threads?');
  });

  test('an unknown setting exits 2, an unknown recipe or run 3, each with the nearest name', async () => {
    expect(await call(['train', 'tiny', 'modle.experts=16', 'sead=1', '--dry-run'])).toMatchObject({
      exit: 2,
      err: expect.stringMatching(/modle.*did you mean model\?\n.*sead.*did you mean seed\?/s) as string,
    });
    expect(await call(['train', 'quickstrat'])).toMatchObject({
      exit: 3,
      err: expect.stringContaining('did you mean quickstart?') as string,
    });
    expect(await call(['tokenizer', 'info', 'otter'], { env: { OPENMOE_RUNS: '/nowhere' } })).toMatchObject({ exit: 3 });
  });

  test('all wrong values are told at once', async () => {
    const { exit, err } = await call(['train', 'tiny', '--threads', '0', '--max-time', 'soon', '--seed', '-1']);
    expect(exit).toBe(2);
    for (const flag of ['--threads', '--max-time', '--seed']) expect(err).toContain(`at ${flag}`);
  });

  test('with --json an error is one document on stdout too', async () => {
    for (const form of ['--json', '--jsonl']) {
      const { exit, out } = await call(['train', 'quickstrat', form]);
      expect(exit).toBe(3);
      expect(JSON.parse(out)).toEqual({
        schema: 'openmoe.error/1',
        code: 'E_RECIPE_UNKNOWN',
        problems: [expect.objectContaining({ message: 'quickstrat: no such recipe' })],
      });
    }
  });

  test('--json and --jsonl exclude each other', async () => {
    expect(await call(['train', 'tiny', '--json', '--jsonl'])).toMatchObject({ exit: 2 });
  });
});

const seed = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const runs = Number(process.env['FUZZ'] ?? 1000);
const word = fc.oneof(
  fc.string(),
  fc.constantFrom(
    '--json',
    '--jsonl',
    '-v',
    '-vv',
    '--',
    '-',
    '',
    '--threads',
    '--run',
    '--seed=1',
    '--max-time',
    '25m',
    'load',
    'kernels',
    'last',
    '@',
    'a=b',
    '~x',
    '--stop',
    '--top-p',
    '1e999',
    'NaN',
    '-1',
    '--help=1',
    '__proto__',
    'constructor',
  ),
  fc.constantFrom(...verbs.flatMap((v) => Object.keys(v.verb.flags))).map((flag) => `--${flag}`),
);

test(`no arguments make parsing fail in any way but a UserError of exit 2 (seed ${seed})`, () => {
  fc.assert(
    fc.property(fc.constantFrom(...verbs), fc.array(word, { maxLength: 6 }), ({ words, verb }, argv) => {
      try {
        parse(words.join(' '), verb, argv);
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
        expect((error as UserError).exit).toBe(2);
      }
    }),
    { numRuns: runs, seed },
  );
});

test(`no arguments of verbs that only read make a bug or a stack trace (seed ${seed})`, async () => {
  const env = { OPENMOE_RUNS: '/nowhere' };
  const readers = fc.constantFrom(
    ['runs'],
    ['tokenizer', 'info'],
    ['tokenizer', 'encode'],
    ['tokenizer', 'decode'],
    ['tokenizer'],
    ['help'],
    ['tra'],
    [],
  );
  await fc.assert(
    fc.asyncProperty(readers, fc.array(word, { maxLength: 5 }), async (words, argv) => {
      const { exit, err } = await call(
        [...words, ...argv].filter((w) => !/^-v*v$/.test(w)),
        { env },
      );
      expect([0, 2, 3, 4]).toContain(exit);
      expect(err).not.toMatch(/^\s+at /m);
    }),
    { numRuns: Math.min(runs, 300), seed },
  );
});

const oneVerb = (verb: Command): Group => ({
  about: 'Test verbs',
  examples: ['it'],
  entries: { it: { about: 'does it', load: () => Promise.resolve(verb) } },
});

describe('a bug', () => {
  const buggy = oneVerb(
    command({
      about: 'Fails',
      examples: ['it'],
      run: () => Promise.reject(new Error(`internal: lost in ${homedir()}/novel with hf_abcdefghijklmnop`)),
    }),
  );
  const fileIn = (text: string): string => /in (\S+openmoe-crash-\S+\.txt)/.exec(text)![1]!;

  test('exits 1, is one line without a stack, and names a crash file that is redacted', async () => {
    const { exit, out, err } = await call(['it', 'my secret prompt', '--json'], {
      verbs: oneVerb(
        command({
          ...((await buggy.entries['it']!.load()) as Command),
          args: { prompt: { about: 'a text', count: 'one', read: ([t]) => t } },
        }),
      ),
    });
    expect(exit).toBe(1);
    expect(err.trim().split('\n')).toHaveLength(1);
    expect(JSON.parse(out)).toMatchObject({ schema: 'openmoe.error/1', code: 'E_BUG' });
    const file = fileIn(err);
    const crash = readFileSync(file, 'utf8');
    rmSync(file);
    expect(crash).toContain('Error: internal: lost in');
    expect(crash).toMatch(/\n\s+at /);
    for (const secret of [`${homedir()}/novel`, 'hf_abcdefghijklmnop', 'secret prompt', process.cwd()]) expect(crash).not.toContain(secret);
  });

  test('-vv shows the stack', async () => {
    const { err } = await call(['it', '-vv'], { verbs: buggy });
    rmSync(fileIn(err));
    expect(err).toMatch(/\n\s+at /);
  });
});

describe('signals', () => {
  /** A process whose verb waits until it is told to stop, then saves for a moment. */
  const script = `
    import { main } from './src/cli/main.ts';
    import { command } from './src/cli/command.ts';
    const wait = command({ about: 'Waits', examples: ['wait'], saves: true, async run({ signal, terminal }) {
      const busy = setInterval(() => {}, 1000);
      terminal.say('ready');
      await new Promise((stop) => signal.addEventListener('abort', stop));
      await new Promise((saved) => setTimeout(saved, process.argv[1] === 'slow' ? 60000 : 50));
      clearInterval(busy);
      return { schema: 'test/1', data: {}, text: 'saved\\n' };
    } });
    const verbs = { about: '', examples: ['wait'], entries: { wait: { about: '', load: () => Promise.resolve(wait) } } };
    const around = { input: process.stdin, out: process.stdout, err: process.stderr, env: process.env, signals: process, quit: (code) => process.exit(code) };
    process.exit(await main(['wait'], around, verbs));`;

  /** Sends a signal at each line of talk that comes, in order. */
  const ended = (signals: readonly NodeJS.Signals[], pace: 'quick' | 'slow') =>
    new Promise<{ code: number | null; out: string }>((done) => {
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script, pace], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const left = [...signals];
      let out = '';
      child.stdout.on('data', (data: Buffer) => (out += data.toString()));
      child.stderr.on('data', () => left.length > 0 && child.kill(left.shift()!));
      child.on('exit', (code) => done({ code, out }));
    });

  test('the first Ctrl-C lets the verb save, and the exit code is 130; SIGTERM: 143', async () => {
    expect(await ended(['SIGINT'], 'quick')).toEqual({ code: 130, out: 'saved\n' });
    expect(await ended(['SIGTERM'], 'quick')).toEqual({ code: 143, out: 'saved\n' });
  });

  test('a second Ctrl-C quits at once', async () => {
    expect(await ended(['SIGINT', 'SIGINT'], 'slow')).toEqual({ code: 130, out: '' });
  });
});
