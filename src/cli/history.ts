/** What a run folder remembers of its training: every step, every validation, routing sums, samples. */
import type { RunFolder } from '../runs/index.ts';
import type { MetricsLine, RoutingLine } from './record.ts';

export interface ValidationLine {
  readonly step: number;
  /** Nats per token, whole and by domain. */
  readonly loss: number;
  readonly byDomain: Readonly<Record<string, number>>;
}

export interface Sample {
  readonly prompt: string;
  readonly text: string;
}

export interface History {
  readonly metrics: readonly MetricsLine[];
  readonly validation: readonly ValidationLine[];
  readonly routing: readonly RoutingLine[];
}

/** Throws E_JSONL (damaged) for a file that is not JSON Lines. */
export async function historyOf(run: RunFolder): Promise<History> {
  const lines = async (name: string): Promise<unknown[]> => (await run.readLines(name)).map(({ value }) => value);
  const events = (await lines('events.jsonl')) as ({ kind?: string } | null)[];
  return {
    metrics: (await lines('metrics.jsonl')) as MetricsLine[],
    validation: events.filter((e) => e?.kind === 'validation') as unknown as ValidationLine[],
    routing: (await lines('routing/steps.jsonl')) as RoutingLine[],
  };
}

/** Steps at the end of training whose mean cross-entropy is the training loss. */
const LAST_STEPS = 20;

/** Numbers of all sessions of a run together; null where there is nothing yet. */
export function historyNumbers({ metrics, validation }: History) {
  const last = metrics.slice(-LAST_STEPS);
  const seconds = metrics.reduce((sum, m) => sum + m.seconds, 0);
  const tokens = metrics.at(-1)?.tokens ?? 0;
  return {
    step: metrics.at(-1)?.step ?? 0,
    tokens,
    seconds,
    tok_per_s: seconds > 0 ? tokens / seconds : null,
    train: last.length > 0 ? last.reduce((sum, m) => sum + m.cross_entropy, 0) / last.length : null,
    val: validation.at(-1)?.loss ?? null,
    val_by_domain: validation.at(-1)?.byDomain ?? {},
  };
}
