/** JSON Lines: one JSON value a line, blank lines allowed, errors with file and line number. */
import { EXIT, UserError } from './errors.ts';

export interface JsonLine {
  /** Counted from 1. */
  readonly line: number;
  readonly value: unknown;
}

/** All values of a finished file. Throws E_JSONL (damaged) at `place:line` for the first line that is not JSON. */
export function parseJsonLines(text: string, place: string): readonly JsonLine[] {
  return pieces(text).map(({ line, piece }) => ({ line, value: parsed(piece, line, place) }));
}

/**
 * All values of a file that somebody appends to. A last line without line feed is left out unless it is a whole object or array:
 * no proper beginning of one is JSON, whereas 12 may be the beginning of 123. Throws E_JSONL like `parseJsonLines` for any other line.
 */
export function parseGrowingJsonLines(text: string, place: string): readonly JsonLine[] {
  return parseJsonLines(text.endsWith('\n') || isWhole(lastLine(text)) ? text : text.slice(0, text.lastIndexOf('\n') + 1), place);
}

/** The text of one line, line feed included. Numbers that are not finite become null, as JSON has none. */
export function jsonLine(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

const lastLine = (text: string): string => text.slice(text.lastIndexOf('\n') + 1);

function isWhole(piece: string): boolean {
  try {
    return typeof JSON.parse(piece) === 'object';
  } catch {
    return false;
  }
}

const pieces = (text: string): { readonly line: number; readonly piece: string }[] =>
  text
    .replace(/^\ufeff/, '')
    .split('\n')
    .map((piece, i) => ({ line: i + 1, piece }))
    .filter(({ piece }) => piece.trim() !== '');

function parsed(piece: string, line: number, place: string): unknown {
  try {
    return JSON.parse(piece);
  } catch (error) {
    const shown = piece.length > 60 ? `${piece.slice(0, 60)}…` : piece;
    throw new UserError('E_JSONL', EXIT.damaged, {
      message: `not JSON: ${JSON.stringify(shown)} (${(error as Error).message})`,
      place: `${place}:${line}`,
    });
  }
}
