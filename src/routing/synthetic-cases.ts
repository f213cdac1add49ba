/** The routers of the table of verdicts for finding 1, with the verdicts that 100 of 100 seeds must give on a full probe set. */
import type { Text } from './synthetic-text.ts';
import { linearRouter, mixed, pairKey, randomRouter, replaced, tableRouter, type Router, type RouterSeed } from './synthetic.ts';
import type { Verdict } from './verdict.ts';

export interface Case {
  readonly about: string;
  readonly router: (text: Text, how: RouterSeed) => Router;
  readonly contextIndependent: Verdict;
  /** Absent where seeds differ. */
  readonly tokenOverDomain?: Verdict;
}

/** Tables of different keys must not share rows. */
const OTHER_TABLE = 2 ** 22;
/** Positions that share a row of a position table. */
const BUCKET = 16;

const token = (text: Text, how: RouterSeed): Router => tableRouter((n) => text.tokens[n]!, how);
const domain = (text: Text, how: RouterSeed): Router => tableRouter((n) => OTHER_TABLE + text.domain[n]!, how);
const document = (text: Text, how: RouterSeed): Router => tableRouter((n) => OTHER_TABLE + text.sequence[n]!, how);
const position = (text: Text, how: RouterSeed): Router => tableRouter((n) => OTHER_TABLE + Math.floor(text.position[n]! / BUCKET), how);
const pair = (text: Text, how: RouterSeed): Router => tableRouter(pairKey(text), how);
const halfNoise = (router: Router, how: RouterSeed): Router => replaced(router, randomRouter(how), { share: 0.5, seed: how.seed });

export const CASES: readonly Case[] = [
  { about: 'token table', router: token, contextIndependent: 'holds', tokenOverDomain: 'holds' },
  {
    about: 'token table, half of the choices fresh',
    router: (t, how) => halfNoise(token(t, how), how),
    contextIndependent: 'holds',
    tokenOverDomain: 'holds',
  },
  { about: 'domain table', router: domain, contextIndependent: 'fails', tokenOverDomain: 'fails' },
  {
    about: 'domain table, half of the choices fresh',
    router: (t, how) => halfNoise(domain(t, how), how),
    contextIndependent: 'fails',
    tokenOverDomain: 'fails',
  },
  { about: 'position table', router: position, contextIndependent: 'fails', tokenOverDomain: 'fails' },
  { about: 'random with skewed loads', router: (_, how) => randomRouter(how), contextIndependent: 'fails', tokenOverDomain: 'fails' },
  { about: '(previous token, token)', router: pair, contextIndependent: 'fails' },
  { about: 'linear, w = 0.9', router: (t, how) => linearRouter(t, 0.9, how), contextIndependent: 'holds', tokenOverDomain: 'holds' },
  {
    about: 'token and document table, half each',
    router: (t, how) => mixed(token(t, how), document(t, how), 0.5),
    contextIndependent: 'fails',
    tokenOverDomain: 'holds',
  },
  {
    about: 'token and position table, w = 0.9',
    router: (t, how) => mixed(token(t, how), position(t, how), 0.9),
    contextIndependent: 'holds',
    tokenOverDomain: 'holds',
  },
];
