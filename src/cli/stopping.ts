/** Ctrl-C and SIGTERM: the first asks the verb to save and end, the second quits at once. */

export type StopSignal = 'SIGINT' | 'SIGTERM';
/** As shells report a process ended by that signal: 128 + its number. */
export const STOP_EXIT: Readonly<Record<StopSignal, number>> = { SIGINT: 130, SIGTERM: 143 };

/** The part of `process` that tells of signals. */
export interface Signals {
  on(signal: StopSignal, listener: (signal: StopSignal) => void): unknown;
  off(signal: StopSignal, listener: (signal: StopSignal) => void): unknown;
}

export interface Stopping {
  readonly signal: AbortSignal;
  /** The signal that came first. */
  received(): StopSignal | undefined;
  close(): void;
}

/** Listens until closed. `onFirst` tells the user; `quit` must not return. */
export function listenForStop(signals: Signals, { onFirst, quit }: { onFirst: () => void; quit: (exit: number) => void }): Stopping {
  const controller = new AbortController();
  let first: StopSignal | undefined;
  const listener = (signal: StopSignal): void => {
    if (first) return quit(STOP_EXIT[signal]);
    first = signal;
    onFirst();
    controller.abort();
  };
  for (const signal of Object.keys(STOP_EXIT) as StopSignal[]) signals.on(signal, listener);
  return {
    signal: controller.signal,
    received: () => first,
    close() {
      for (const signal of Object.keys(STOP_EXIT) as StopSignal[]) signals.off(signal, listener);
    },
  };
}
