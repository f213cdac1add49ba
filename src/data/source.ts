/** Where text comes from: documents, each of one domain. */

export interface DomainInfo {
  /** Lower-case letters, digits, hyphens for ours; whatever a user's folder says for his. */
  readonly name: string;
  readonly licence: string;
  /** Exact origin: package and version, or path. */
  readonly origin: string;
  /** Never trained on: all its documents go to the probe. */
  readonly heldOut?: boolean;
}

export interface Document {
  readonly domain: string;
  readonly text: string;
  /** Tag such as `de` or `zh-CN`, where it is known. */
  readonly language?: string;
}

export interface Source {
  readonly name: string;
  readonly domains: readonly DomainInfo[];
  /** The same documents in the same order each time. Every domain is one of `domains`. */
  documents(): AsyncIterable<Document>;
}

/**
 * Texts to train a tokenizer on: about `characters` UTF-16 units, an equal share from each trained domain as far as it has that many
 * (what small ones leave goes to the large), documents spread evenly over each domain.
 */
export async function sampleTexts(source: Source, characters: number): Promise<string[]> {
  const trained = new Set(source.domains.filter((d) => !d.heldOut).map((d) => d.name));
  const texts = new Map<string, string[]>();
  for await (const { domain, text } of source.documents()) if (trained.has(domain)) append(texts, domain, text);
  const size = (list: readonly string[]): number => list.reduce((n, t) => n + t.length, 0);
  const smallestFirst = [...texts.values()].sort((a, b) => size(a) - size(b));
  let left = characters;
  return smallestFirst.flatMap((list, i) => {
    const share = Math.min(size(list), left / (smallestFirst.length - i));
    left -= share;
    return evenly(list, share);
  });
}

/** Adds to the list that a map holds under `key`. */
export function append<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}

/** Items spread evenly over a list so that their lengths sum to about `characters`; all of them when they fit. */
export function evenly(texts: readonly string[], characters: number): string[] {
  const keep = characters / texts.reduce((n, t) => n + t.length, 0);
  let seen = 0;
  let kept = 0;
  return texts.filter((t) => {
    seen += t.length;
    // Half a document early or late is as near as whole documents come.
    if (kept + t.length / 2 > seen * keep) return false;
    kept += t.length;
    return true;
  });
}

/** Joins consecutive texts until each document has at least `bytes` bytes of UTF-8; the last may have fewer. */
export function* grouped(texts: Iterable<string>, bytes: number): Generator<string> {
  const encoder = new TextEncoder();
  let [document, size] = ['', 0];
  for (const text of texts) {
    document += text;
    size += encoder.encode(text).length;
    if (size < bytes) continue;
    yield document;
    [document, size] = ['', 0];
  }
  if (document) yield document;
}

/** Cuts a long text at blank lines, else at line ends, into pieces of about `characters` UTF-16 units; joined they are the text. */
export function pieces(text: string, characters: number): string[] {
  const cuts: string[] = [];
  let from = 0;
  while (text.length - from > 1.5 * characters) {
    const at = cutBefore(text, { from, least: from + characters / 2, most: from + characters });
    cuts.push(text.slice(from, at));
    from = at;
  }
  if (from < text.length) cuts.push(text.slice(from));
  return cuts;
}

function cutBefore(text: string, { from, least, most }: { from: number; least: number; most: number }): number {
  // Only here: a search backwards through all that came before would take the square of the text's length.
  const window = text.slice(Math.ceil(least), most);
  for (const end of ['\n\n', '\n', ' ']) {
    const at = window.lastIndexOf(end);
    if (at >= 0) return Math.ceil(least) + at + end.length;
  }
  // Nowhere to cut: anywhere but inside a surrogate pair.
  return most - from > 1 && /[\uD800-\uDBFF]/.test(text[most - 1]!) ? most - 1 : most;
}
