/** bench --quality: what packed weights cost a trained run in validation loss. */
import { inColumns } from '../base/index.ts';
import { benchQuality, type Quality } from '../bench/index.ts';
import { validationRows } from '../train/index.ts';
import type { Answer } from './command.ts';
import { reopen } from './reopened.ts';
import type { Terminal } from './terminal.ts';

/** Rows of the validation split at most. */
const ROWS = 256;

/** Throws UserErrors as `reopen`. */
export async function qualityOf(
  ref: string,
  terminal: Terminal,
  given: { readonly threads: number | undefined; readonly signal: AbortSignal },
): Promise<Answer> {
  const { run, step, executor, model, weights, dataset } = await reopen(ref, terminal, given);
  const quality: Quality[] = [];
  for await (const one of benchQuality(executor, { model, weights, rows: validationRows(dataset, ROWS), length: dataset.length })) {
    quality.push(one);
    terminal.event({ event: 'measured', ...one });
    if (terminal.form === 'text') terminal.say(`${one.dtype}: ${one.loss.toFixed(4)}`);
  }
  executor.close();
  return { schema: 'openmoe.bench-quality/1', data: { run: run.id, step, quality }, text: table(quality) };
}

const signed = (x: number): string => (x < 0 ? '−' : '+') + Math.abs(x).toFixed(5);

const table = (quality: readonly Quality[]): string =>
  inColumns(
    [
      ['weights', 'loss.val', 'minus f32', '95 % interval', 'rows'],
      ...quality.map((q, n) =>
        n === 0
          ? [q.dtype, q.loss.toFixed(4), '', '', String(q.rows)]
          : [q.dtype, q.loss.toFixed(4), signed(q.difference), `${signed(q.low)} to ${signed(q.high)}`, String(q.rows)],
      ),
    ],
    { right: [1, 2, 3, 4] },
  );
