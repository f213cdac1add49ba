/** Programs as text: JSON, with the numbers that JSON lacks as strings. What comes from a file is checked before anyone sees it. */
import { EXIT, UserError } from '../base/index.ts';
import { checkProgram } from './check.ts';
import type { Program } from './program.ts';

const SCHEMA = 'openmoe.program/1';
const ODD: Readonly<Record<string, number>> = { NaN: NaN, Infinity: Infinity, '-Infinity': -Infinity };

export const writeProgram = (program: Program): string =>
  JSON.stringify({ schema: SCHEMA, ...program }, (_, x: unknown) => (typeof x === 'number' && !Number.isFinite(x) ? String(x) : x));

/** Throws UserError E_PROGRAM (exit 4) with the reason for anything that `writeProgram` would not have written. */
export function readProgram(text: string, place: string): Program {
  const fail = (message: string): never => {
    throw new UserError('E_PROGRAM', EXIT.damaged, { message, place });
  };
  const read = parsed(text) ?? fail('this is not JSON');
  if (!isProgram(read)) return fail(`this is not a program of schema ${SCHEMA}`);
  checkProgram(read);
  return read;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text, (key, x: unknown) => (typeof x === 'string' && Object.hasOwn(ODD, x) && key !== 'name' ? ODD[x] : x));
  } catch {
    return undefined;
  }
}

type Fields = Readonly<Record<string, unknown>>;
const isFields = (x: unknown): x is Fields => typeof x === 'object' && x !== null && !Array.isArray(x);
const isText = (x: unknown): x is string => typeof x === 'string';
const isList = (x: unknown, of: (entry: unknown) => boolean): boolean => Array.isArray(x) && x.every(of);
const isNumber = (x: unknown): boolean => typeof x === 'number';
const isValue = (x: unknown): boolean => isFields(x) && isText(x['id']) && isText(x['dtype']) && isList(x['shape'], isNumber);
const isArgument = (x: unknown): boolean =>
  isValue(x) && isText((x as Fields)['name']) && ['parameter', 'state', 'data'].includes((x as Fields)['role'] as string);
const isInstruction = (x: unknown): boolean =>
  isFields(x) && isText(x['op']) && isList(x['in'], isText) && isList(x['out'], (v) => v === null || isValue(v)) && isFields(x['attrs']);
const isResult = (x: unknown): boolean =>
  isFields(x) && isText(x['name']) && isText(x['value']) && (x['updates'] === undefined || isText(x['updates']));

const isProgram = (x: unknown): x is Program =>
  isFields(x) &&
  x['schema'] === SCHEMA &&
  isText(x['name']) &&
  isList(x['arguments'], isArgument) &&
  isList(x['code'], isInstruction) &&
  isList(x['results'], isResult);
