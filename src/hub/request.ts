/** Requests that survive a bad line: retries with growing pauses, Retry-After, redirects that do not carry the token elsewhere. */
import { EXIT, UserError } from '../base/index.ts';

export interface Line {
  readonly token: string | undefined;
  /** Cancels everything. */
  readonly signal?: AbortSignal | undefined;
  /** Told before each further try. */
  readonly onRetry?: ((why: string, seconds: number) => void) | undefined;
  /** Seconds after which a silent line counts as dropped. */
  readonly patience: number;
  /** Unit of the pauses between tries in seconds: the n-th is 2ⁿ of them. */
  readonly pause: number;
}

/** Tries in a row that bring nothing new, before giving up. */
export const TRIES = 5;
const REDIRECTS = 10;
/** The longest pause that a server may ask for in seconds. */
const LONGEST = 300;

/** A line that broke or a server that is busy: worth another try. */
export class Interrupted extends Error {
  /** Seconds that the server asks to wait. */
  readonly wait: number | undefined;
  constructor(message: string, wait?: number) {
    super(message);
    this.wait = wait;
  }
}

/** Runs `attempt` until it succeeds; a try that calls `progressed` starts the count again. Throws UserError E_HUB_UNREACHABLE (not found). */
export async function persistently<T>(line: Line, url: string, attempt: (progressed: () => void) => Promise<T>): Promise<T> {
  for (let failed = 0; ;) {
    try {
      return await attempt(() => (failed = 0));
    } catch (error) {
      line.signal?.throwIfAborted();
      if (!(error instanceof Interrupted)) throw error;
      failed++;
      if (failed >= TRIES)
        throw new UserError('E_HUB_UNREACHABLE', EXIT.notFound, {
          message: `gave up after ${TRIES} tries: ${error.message}`,
          place: url,
          hint: 'run the same command again to go on where it stopped; HF_ENDPOINT names another hub, HF_HUB_OFFLINE=1 uses what is cached',
        });
      const seconds = Math.min(LONGEST, error.wait ?? line.pause * 2 ** (failed - 1));
      line.onRetry?.(error.message, seconds);
      await pausing(seconds, line.signal);
    }
  }
}

const pausing = (seconds: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    const over = (): void => (clearTimeout(timer), reject(signal!.reason as Error));
    const timer = setTimeout(() => (signal?.removeEventListener('abort', over), resolve()), seconds * 1000);
    signal?.addEventListener('abort', over, { once: true });
  });

/** An answer whose body ends with Interrupted when the line falls silent or breaks. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * One GET; redirects are followed, the token goes to the first origin only. Throws Interrupted for what may pass (no connection, 408, 429, 5xx) and
 * UserErrors E_HUB_DENIED, E_HUB_MISSING, E_HUB_REFUSED (not found) for what will not.
 */
export async function get(line: Line, url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const first = new URL(url);
  let at = first;
  for (let hops = 0; hops <= REDIRECTS; hops++) {
    const watch = watching(line);
    const token = line.token !== undefined && at.origin === first.origin ? { authorization: `Bearer ${line.token}` } : {};
    const response = await watch.guard(fetch(at, { headers: { ...headers, ...token }, redirect: 'manual', signal: watch.signal }));
    const next = response.status >= 300 && response.status < 400 ? response.headers.get('location') : null;
    if (next === null) {
      if (response.ok || response.status === 416) return { status: response.status, headers: response.headers, body: watch.read(response) };
      await watch.end(response);
      throw refusal(response, url, line.token !== undefined);
    }
    await watch.end(response);
    const to = URL.canParse(next, at) ? new URL(next, at) : undefined;
    if (!to || !/^https?:$/.test(to.protocol) || (at.protocol === 'https:' && to.protocol === 'http:'))
      throw refused(url, `the server redirects to "${next.slice(0, 200)}"`);
    at = to;
  }
  throw refused(url, `more than ${REDIRECTS} redirects`);
}

/** Cuts a request off when nothing came for `patience` seconds, or when everything is cancelled. */
function watching({ signal, patience }: Line) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), patience * 1000);
  const both = signal ? AbortSignal.any([signal, silence.signal]) : silence.signal;
  const stop = (): void => clearTimeout(timer);
  const interrupted = (error: unknown): Error => {
    stop();
    if (signal?.aborted) return signal.reason as Error;
    if (silence.signal.aborted) return new Interrupted(`nothing came for ${patience} s`);
    const cause = (error as { cause?: { code?: string; message?: string } }).cause;
    return new Interrupted(cause?.code ?? cause?.message ?? (error as Error).message);
  };
  return {
    signal: both,
    guard: <T>(work: Promise<T>): Promise<T> =>
      work.catch((error: unknown) => {
        throw interrupted(error);
      }),
    async end(response: Response): Promise<void> {
      stop();
      await response.body?.cancel().catch(() => {});
    },
    async *read(response: Response): AsyncGenerator<Uint8Array> {
      try {
        if (response.body)
          for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
            clearTimeout(timer);
            yield chunk;
            timer = setTimeout(() => silence.abort(), patience * 1000);
          }
      } catch (error) {
        throw interrupted(error);
      } finally {
        stop();
      }
    },
  };
}

const refused = (place: string, message: string): UserError => new UserError('E_HUB_REFUSED', EXIT.notFound, { message, place });

function refusal({ status, headers }: Response, place: string, hadToken: boolean): Error {
  if (status === 408 || status === 429 || status >= 500) return new Interrupted(`the server answers ${status}`, retryAfter(headers));
  if (status === 401 || status === 403)
    return new UserError('E_HUB_DENIED', EXIT.notFound, {
      message: `the server answers ${status}: the model is private or gated, or does not exist`,
      place,
      hint: hadToken ? 'the token in use has no access to it' : 'set HF_TOKEN to a token with access to it',
    });
  if (status === 404)
    return new UserError('E_HUB_MISSING', EXIT.notFound, {
      message: 'no such model, revision or file on the hub',
      place,
      hint: 'check its name',
    });
  return refused(place, `the server answers ${status}`);
}

/** Seconds, from a number of seconds or a date. */
function retryAfter(headers: Headers): number | undefined {
  const value = headers.get('retry-after');
  if (value === null) return undefined;
  const seconds = /^\d+$/.test(value.trim()) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}
