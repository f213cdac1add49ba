/** Command lines read with commander: arguments and flags of one verb, all mistakes of values at once, and help pages. */
import { Command as Commander, CommanderError, Option } from 'commander';
import { EXIT, type Problem, suggest, UserError } from '../base/index.ts';
import type { Arguments, Command, Flags, Group, Values } from './command.ts';
import type { Form } from './terminal.ts';

export interface Parsed {
  readonly args: Values<Arguments>;
  readonly flags: Values<Flags>;
  readonly form: Form;
  readonly verbosity: number;
}

/** Whether the help page is asked for, whatever else is missing or wrong. */
export const asksHelp = (argv: readonly string[]): boolean => beforeDashes(argv).some((text) => /^(--help|-v*h)$/.test(text));

/** How an answer is asked for by a line that may be wrong: errors come in that form. */
export const askedForm = (argv: readonly string[]): Form =>
  (['jsonl', 'json'] as const).find((f) => beforeDashes(argv).includes(`--${f}`)) ?? 'text';
export const askedVerbosity = (argv: readonly string[]): number =>
  beforeDashes(argv).reduce((n, text) => n + (/^-v+$/.exec(text)?.[0].length ?? (text === '--verbose' ? 2 : 1)) - 1, 0);

const beforeDashes = (argv: readonly string[]): readonly string[] => argv.slice(0, argv.includes('--') ? argv.indexOf('--') : argv.length);

export const kebab = (key: string): string => key.replaceAll(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);

const LEAST_WIDTH = 40;

/** Throws UserError E_USAGE (unknown flag, missing or surplus argument) or whatever the values' parsers throw, all together. */
export function parse(name: string, verb: Command, argv: readonly string[]): Parsed {
  const commander = described(name, verb);
  try {
    commander.parse([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) throw usage(error, name, commander);
    throw error;
  }
  const given = commander.opts<Record<string, readonly string[] | undefined>>();
  const switched = (flag: string): boolean => (given[flag]?.length ?? 0) > 0;
  if (switched('json') && switched('jsonl'))
    throw new UserError('E_USAGE', EXIT.usage, { message: '--json and --jsonl exclude each other', hint: 'choose one' });
  const form: Form = switched('json') ? 'json' : switched('jsonl') ? 'jsonl' : 'text';
  return { form, verbosity: given['verbose']?.length ?? 0, ...read(verb, commander, given) };
}

function read(verb: Command, commander: Commander, given: Record<string, readonly string[] | undefined>): Pick<Parsed, 'args' | 'flags'> {
  const wrong: UserError[] = [];
  const attempt = (input: Arguments[string] | Flags[string], texts: readonly string[], place: string): unknown => {
    try {
      return input.read(texts, place);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      wrong.push(error);
      return undefined;
    }
  };
  const positional = commander.processedArgs as readonly (string | readonly string[] | undefined)[];
  const args = Object.entries(verb.args).map(
    ([key, arg], i) => [key, attempt(arg, [positional[i] ?? []].flat(), shownArgument(key))] as const,
  );
  const flags = Object.entries(verb.flags).map(([key, flag]) => [key, attempt(flag, given[key] ?? [], `--${kebab(key)}`)] as const);
  if (wrong.length > 0)
    throw new UserError(
      wrong[0]!.code,
      wrong[0]!.exit,
      wrong.flatMap((e) => e.problems),
    );
  return { args: Object.fromEntries(args), flags: Object.fromEntries(flags) };
}

/** The help page of a verb; `columns` wide. */
export function helpPage(name: string, verb: Command, columns = 80): string {
  const commander = described(name, verb).configureHelp({ helpWidth: Math.max(LEAST_WIDTH, columns) });
  return `${commander.helpInformation()}${examples(verb.examples)}`;
}

/** The help page of a group: its verbs in their order of use. */
export function groupPage(name: string, group: Group, columns = 80): string {
  const commander = new Commander(name)
    .description(`${group.about}.`)
    .usage('<verb> [arguments] [flags]')
    .helpOption(false)
    .helpCommand(false);
  for (const [verb, { about }] of Object.entries(group.entries)) commander.command(verb).description(about);
  const text = commander.configureHelp({ helpWidth: Math.max(LEAST_WIDTH, columns), subcommandTerm: (c) => c.name() }).helpInformation();
  return `${text.replace('\nCommands:', '\nVerbs:')}${examples(group.examples)}\nEach verb has its own page: ${name} <verb> --help\n`;
}

const examples = (lines: readonly string[]): string => `\nExamples:\n${lines.map((line) => `  openmoe ${line}\n`).join('')}`;

const shownArgument = (key: string): string => kebab(key).toUpperCase();
const SIGNS = { one: ['<', '>'], 'at most one': ['[', ']'], any: ['[', '...]'] } as const;

function described(name: string, verb: Command): Commander {
  const commander = new Commander(name).description(`${verb.about}.`).helpOption(false).exitOverride().showSuggestionAfterError(false);
  commander.configureOutput({ writeErr: () => {}, writeOut: () => {} });
  for (const [key, { about, count }] of Object.entries(verb.args)) commander.argument(SIGNS[count].join(shownArgument(key)), about);
  for (const [key, { form, about }] of Object.entries(verb.flags))
    commander.addOption(option(`--${kebab(key)}${form ? ` ${form}` : ''}`, about));
  commander.addOption(option('--json', 'one JSON document on stdout'));
  if (verb.streams) commander.addOption(option('--jsonl', 'events on stdout as they happen, one JSON value a line'));
  commander.addOption(option('-v, --verbose', 'more talk; -vv: stack traces too'));
  commander.addOption(option('-h, --help', 'this page'));
  return commander;
}

/** Collects every text given for a flag; a switch collects its occurrences, and one that may have a value is true without. */
const option = (form: string, about: string): Option =>
  new Option(form, about)
    .preset('true')
    .argParser((text: string | null, before: readonly string[] | undefined) => [...(before ?? []), text ?? '']);

function usage({ code, message }: CommanderError, name: string, commander: Commander): UserError {
  const [, quoted] = /'([^']*)'/s.exec(message) ?? [];
  const help = `see: ${name} --help`;
  const problem: Readonly<Record<string, Problem>> = {
    'commander.unknownOption': { message: `${quoted}: no such flag`, hint: suggest(quoted ?? '', longFlags(commander)) },
    'commander.optionMissingArgument': { message: `${quoted}: its value is missing`, hint: help },
    'commander.missingArgument': { message: `${quoted} is missing`, hint: help },
    'commander.excessArguments': { message: 'too many arguments', hint: `${help}; put a text with blanks in quotes` },
  };
  return new UserError('E_USAGE', EXIT.usage, {
    place: name,
    ...(problem[code] ?? { message: message.replace(/^error: /, ''), hint: help }),
  });
}

const longFlags = (commander: Commander): string[] => commander.options.flatMap((o) => (o.long ? [o.long] : []));
