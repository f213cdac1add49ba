/** A timeline in the Trace Event Format, as chrome://tracing and Perfetto read it (JSON object format, complete events; times in microseconds). */
import type { Timeline } from '../infer/index.ts';

export interface ChromeTrace {
  readonly displayTimeUnit: 'ms';
  readonly traceEvents: readonly object[];
}

export function chromeTrace({ threads, instructions, spans }: Timeline): ChromeTrace {
  const named = (tid: number, name: string): object => ({ ph: 'M', pid: 1, tid, name: 'thread_name', args: { name } });
  const names = [named(0, 'instructions'), ...Array.from({ length: threads }, (_, n) => named(n + 1, `thread ${n + 1}`))];
  const events = spans.map(({ thread, instruction, begin_s, end_s }) => {
    const { op, shape, flops, read, written } = instructions[instruction]!;
    const times = { ts: begin_s * 1e6, dur: (end_s - begin_s) * 1e6 };
    return {
      ph: 'X',
      pid: 1,
      tid: thread + 1,
      name: op,
      cat: thread < 0 ? 'instruction' : 'work',
      ...times,
      args: { instruction, shape, flops, read, written },
    };
  });
  return { displayTimeUnit: 'ms', traceEvents: [...names, ...events] };
}
