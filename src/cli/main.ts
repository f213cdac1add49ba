/** cli: verbs for people. From arguments to an exit code. Must not know mathematics. */
import { EXIT, suggest, UserError } from '../base/index.ts';
import { type Answer, type Command, type Group, isGroup } from './command.ts';
import { errorDocument, report } from './failure.ts';
import { askedForm, askedVerbosity, asksHelp, groupPage, helpPage, parse } from './parse.ts';
import { listenForStop, type Signals, STOP_EXIT } from './stopping.ts';
import { type Host, openTerminal, type Terminal } from './terminal.ts';
import { OPENMOE } from './verbs.ts';
import { packageVersion } from './version.ts';

/** A host that gets signals and can be left at once. */
export interface Surroundings extends Host {
  readonly signals: Signals;
  quit(exit: number): void;
}

/** Runs one command line of `verbs` and returns its exit code; never throws. */
export async function main(argv: readonly string[], around: Surroundings, verbs: Group = OPENMOE): Promise<number> {
  try {
    return await called('openmoe', verbs, argv, around);
  } catch (error) {
    return failed(error, argv, around);
  }
}

const failed = (error: unknown, argv: readonly string[], around: Host): number =>
  report(error, openTerminal(around, { form: askedForm(argv), verbosity: askedVerbosity(argv) }), argv);

async function called(name: string, group: Group, argv: readonly string[], around: Surroundings): Promise<number> {
  const at = argv.findIndex((word) => !word.startsWith('-'));
  const flags = at < 0 ? argv : argv.slice(0, at);
  const word = argv[at];
  if (word === undefined || (word === 'help' && argv.length === at + 1)) return overview(name, group, flags, around);
  if (word === 'help') return called(name, group, [...argv.slice(at + 1), '--help'], around);
  const entry = Object.hasOwn(group.entries, word) ? group.entries[word]! : undefined;
  if (!entry)
    throw new UserError('E_VERB', EXIT.usage, {
      message: `${word}: no such verb`,
      place: name,
      hint: suggest(word, Object.keys(group.entries)),
    });
  const loaded = await entry.load();
  const rest = [...argv.slice(at + 1), ...flags]; // flags may stand before their verb
  return isGroup(loaded) ? called(`${name} ${word}`, loaded, rest, around) : run(`${name} ${word}`, loaded, rest, around);
}

function overview(name: string, group: Group, flags: readonly string[], around: Surroundings): number {
  const odd = flags.find((flag) => !/^(-h|--help|--version|--json|--verbose|-v+)$/.test(flag));
  if (odd !== undefined)
    throw new UserError('E_USAGE', EXIT.usage, {
      message: `${odd}: no such flag without a verb`,
      place: name,
      hint: `see: ${name} --help`,
    });
  const answer: Answer = flags.includes('--version')
    ? { schema: 'openmoe.version/1', data: { version: packageVersion() }, text: `${packageVersion()}\n` }
    : { schema: 'openmoe.help/1', data: { verbs: aboutEach(group) }, text: groupPage(name, group, around.out.columns) };
  return give(answer, openTerminal(around, { form: askedForm(flags), verbosity: 0 }));
}

const aboutEach = (group: Group) => Object.entries(group.entries).map(([verb, { about }]) => ({ verb, about }));

async function run(name: string, verb: Command, argv: readonly string[], around: Surroundings): Promise<number> {
  if (asksHelp(argv)) {
    around.out.write(helpPage(name, verb, around.out.columns));
    return 0;
  }
  const { args, flags, form, verbosity } = parse(name, verb, argv);
  const terminal = openTerminal(around, { form, verbosity });
  if (!verb.saves) return give(await verb.run({ args, flags, terminal, signal: new AbortController().signal }), terminal);
  const onFirst = (): void => terminal.say('stopping at the next safe point; again to quit at once');
  const stopping = listenForStop(around.signals, { onFirst, quit: (exit) => around.quit(exit) });
  try {
    const exit = give(await verb.run({ args, flags, terminal, signal: stopping.signal }), terminal);
    return exit || exitOf(stopping.received());
  } catch (error) {
    if (!stopping.signal.aborted || error instanceof UserError) throw error;
    terminal.detail(String(error)); // work that was cut off before it had anything to answer
    if (form !== 'text') around.out.write(`${JSON.stringify(errorDocument('E_STOPPED', [{ message: 'stopped' }]))}\n`);
    return exitOf(stopping.received());
  } finally {
    stopping.close();
  }
}

const exitOf = (signal: keyof typeof STOP_EXIT | undefined): number => (signal ? STOP_EXIT[signal] : 0);

function give({ schema, data, text, exit = 0 }: Answer, { form, out }: Terminal): number {
  out.write(form === 'text' ? text : `${JSON.stringify({ schema, ...data })}\n`);
  return exit;
}

/** Runs the command line of this process, and ends it. */
export async function runProcess(): Promise<void> {
  const { stdin, stdout, stderr, env } = process;
  // Who stops reading has seen enough: `openmoe runs | head -1` is no failure.
  stdout.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EPIPE' ? process.exit(0) : process.exit(EXIT.bug)));
  stderr.on('error', () => {});
  const argv = process.argv.slice(2);
  const around: Surroundings = { input: stdin, out: stdout, err: stderr, env, signals: process, quit: (code) => process.exit(code) };
  // What fails outside of everything that is awaited is a bug too, and is told as one.
  process.on('uncaughtException', (error) => process.exit(failed(error, argv, around)));
  const exit = await main(argv, around);
  // A pipe may still hold what was written.
  await Promise.all([stdout, stderr].map((stream) => new Promise<void>((done) => void stream.write('', () => done()))));
  process.exit(exit);
}
