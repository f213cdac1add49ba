/** Post-processors that take the white space at the ends of tokens out of their offsets. */
import type { ProcessorJson } from './schema.ts';

/** The range of the `index`-th token, a piece's id or an added token's text, without its white space. */
export type Trim = (token: number | string, range: [number, number], index: number) => [number, number];

/** `Ġ` is the space of the byte-level alphabet. */
const [LEADING, TRAILING] = [/^[\u0120\p{White_Space}]+/u, /[\u0120\p{White_Space}]+$/u];
const length = (match: RegExpExecArray | null): number => (match ? Array.from(match[0]).length : 0);

export function trimmer(json: ProcessorJson | undefined, names: ReadonlyMap<number, string>): Trim {
  const steps = json ? flat(json).filter((p) => (p.type === 'ByteLevel' || p.type === 'RobertaProcessing') && p.trim_offsets) : [];
  if (steps.length === 0) return (_, range) => range;
  const known = new Map<number, readonly [number, number]>();
  const spaces = (token: number | string): readonly [number, number] => {
    if (typeof token === 'string') return [length(LEADING.exec(token)), length(TRAILING.exec(token))];
    const name = names.get(token) ?? '';
    if (!known.has(token)) known.set(token, [length(LEADING.exec(name)), length(TRAILING.exec(name))]);
    return known.get(token)!;
  };
  return (token, range, index) =>
    steps.reduce(([start, end], step) => {
      const [leading, trailing] = spaces(token);
      const prefixed = 'add_prefix_space' in step && step.add_prefix_space;
      // The one space that was put in front is not in the text.
      const before = (index === 0 || start === 0) && prefixed && leading === 1 ? 0 : leading;
      const from = Math.min(start + before, end);
      return [from, trailing > 0 && end >= trailing ? Math.max(end - trailing, from) : end];
    }, range);
}

const flat = (json: ProcessorJson): ProcessorJson[] => (json.type === 'Sequence' ? json.processors.flatMap(flat) : [json]);
