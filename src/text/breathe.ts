/** Long loops that let the event loop run: progress is drawn and an abort arrives. */

/** How long the event loop waits at most, in milliseconds. */
const BREATH = 50;

/** Call (and await) once a turn; true when the event loop has run. Throws the reason of `signal` when it aborted. */
export function breathing(signal?: AbortSignal): () => Promise<boolean> | false {
  let last = performance.now();
  return () => {
    if (performance.now() - last < BREATH) return false;
    return new Promise<void>((resolve) => void setTimeout(resolve)).then(() => {
      signal?.throwIfAborted();
      last = performance.now();
      return true;
    });
  };
}
