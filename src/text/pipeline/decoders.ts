/** Decoders of tokenizer.json: from the tokens' names to text. */
import { unspell } from '../alphabet.ts';
import { patternOf } from './normalizers.ts';
import type { DecoderJson } from './schema.ts';

export type Decoder = (tokens: readonly string[]) => readonly string[];

const encoder = new TextEncoder();
const lossy = new TextDecoder('utf-8', { ignoreBOM: true });
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });

export function decoderOf(json: DecoderJson): Decoder {
  switch (json.type) {
    case 'Sequence': {
      const parts = json.decoders.map(decoderOf);
      return (tokens) => parts.reduce((list, part) => part(list), tokens);
    }
    case 'ByteLevel':
      return (tokens) => [lossy.decode(Uint8Array.from(tokens.flatMap((t) => [...(unspell(t) ?? encoder.encode(t))])))];
    case 'ByteFallback':
      return byteFallback;
    case 'Fuse':
      return (tokens) => [tokens.join('')];
    case 'Metaspace':
      return (tokens) => tokens.map((t, i) => t.replaceAll(json.replacement, i === 0 && json.prepend_scheme !== 'never' ? '' : ' '));
    case 'Replace': {
      const pattern = patternOf(json.pattern);
      return (tokens) => tokens.map((t) => t.replace(pattern, () => json.content));
    }
    case 'Strip':
      return (tokens) => tokens.map((t) => strip(t, json));
    case 'BPEDecoder':
      return (tokens) => tokens.map((t, i) => t.replaceAll(json.suffix, i === tokens.length - 1 ? '' : ' '));
  }
}

/** Byte that a name such as `<0x0A>` stands for. */
export function byteNamed(name: string): number | undefined {
  return /^<0x[0-9A-Fa-f]{2}>$/.test(name) ? parseInt(name.slice(3, 5), 16) : undefined;
}

/** Runs of bytes become characters; a run that is not UTF-8 becomes one U+FFFD a byte. */
function byteFallback(tokens: readonly string[]): string[] {
  const out: string[] = [];
  let run: number[] = [];
  const flush = (): void => {
    if (run.length === 0) return;
    try {
      out.push(strict.decode(Uint8Array.from(run)));
    } catch {
      out.push(...run.map(() => '\uFFFD'));
    }
    run = [];
  };
  for (const token of tokens) {
    const byte = byteNamed(token);
    if (byte === undefined) {
      flush();
      out.push(token);
    } else run.push(byte);
  }
  flush();
  return out;
}

/** Takes at most so many of one character from both ends. */
function strip(token: string, { content, start, stop }: Extract<DecoderJson, { type: 'Strip' }>): string {
  const characters = Array.from(token);
  let [from, to] = [0, characters.length];
  while (from < Math.min(start, characters.length) && characters[from] === content) from++;
  while (to > from && characters.length - to < stop && characters[to - 1] === content) to--;
  return characters.slice(from, to).join('');
}
