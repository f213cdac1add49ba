/** How long the event loop is kept waiting while something runs: a progress bar and a server live on it. */

export interface LoopWatch {
  /** Watches until the promise is settled. */
  during<T>(work: () => Promise<T>): Promise<T>;
  /** Seconds between two ticks of a timer of one millisecond, so never much less: 99 of 100 are shorter. */
  p99(): number;
}

const TICK_MS = 1;

/** Its own timer and no `monitorEventLoopDelay`: that one forgets what happens between its last tick and the end. */
export function watchLoop(): LoopWatch {
  const delays: number[] = [];
  return {
    async during(work) {
      let last = performance.now();
      const tick = (): void => {
        const now = performance.now();
        delays.push((now - last) / 1000);
        last = now;
      };
      const timer = setInterval(tick, TICK_MS);
      try {
        return await work();
      } finally {
        clearInterval(timer);
        tick();
      }
    },
    p99: () => delays.toSorted((a, b) => a - b)[Math.ceil(0.99 * delays.length) - 1] ?? 0,
  };
}
