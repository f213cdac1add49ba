/** Errors that teach: a code, the place, what was got, what is allowed, and the nearest real name. */

/** Documented exit codes of the command line. */
export const EXIT = {
  bug: 1,
  usage: 2,
  notFound: 3,
  damaged: 4,
  doesNotFit: 5,
  checkFailed: 6,
  diverged: 7,
} as const;

export interface Problem {
  /** What is wrong, in one sentence without a full stop. */
  readonly message: string;
  /** Where: a file, a line, an override, a flag. */
  readonly place?: string;
  /** What the user can do. */
  readonly hint?: string;
}

/** A failure the user can mend. `code` is stable (`E_CONFIG_KEY`), `exit` the process exit code. */
export class UserError extends Error {
  readonly code: string;
  readonly exit: number;
  readonly problems: readonly Problem[];

  constructor(code: string, exit: number, problems: Problem | readonly Problem[]) {
    const list = 'message' in problems ? [problems] : problems;
    super(list.map((p) => describe(code, p)).join('\n'));
    this.name = 'UserError';
    this.code = code;
    this.exit = exit;
    this.problems = list;
  }
}

const describe = (code: string, { message, place, hint }: Problem): string =>
  [`error[${code}] ${message}`, place && `at ${place}`, hint].filter(Boolean).join(' · ');

/** Throws when our own code is at fault; such messages start with `internal:`. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`internal: ${message}`);
}

/** The candidate closest to `name` by edit distance, if it is close enough to be a slip of the hand. */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let least = Math.max(2, Math.floor(name.length / 2));
  for (const candidate of candidates) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance <= least && (best === undefined || distance < least)) [best, least] = [candidate, distance];
  }
  return best;
}

/** `did you mean x?` or the whole list when nothing is near. */
export function suggest(name: string, candidates: readonly string[]): string {
  const near = nearest(name, candidates);
  return near === undefined ? `known: ${candidates.join(', ')}` : `did you mean ${near}?`;
}

/** Optimal string alignment distance: insert, delete, replace, swap neighbours. */
function editDistance(a: string, b: string): number {
  let [before, last] = [[] as number[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) row[j] = Math.min(row[j]!, before[j - 2]! + 1);
    }
    [before, last] = [last, row];
  }
  return last[b.length]!;
}
