/** The logit mask alone: what a model of any weights leaves of its final hidden states.   B rows, S tokens a row, N = B·S, H hidden. */
import type { Tensors } from './reading.ts';
import type { Sheet } from './row.ts';
import { evaluate, parameterSpecs } from './running.ts';
import { type Executor, full, initialValues, openmoe, OPENMOE_DEFAULTS, trace } from './vocabulary.ts';

/** The mask zeroes normed rows, hence the final hidden states. */
export async function checkMask(executor: Executor, file: Tensors, to: Sheet): Promise<void> {
  const tokens = file.i32('logit_mask.inputs');
  const [rows, length] = file.at('logit_mask.inputs').shape as [number, number];
  const width = 8;
  const sizes = { hidden: width, inner: 8, layers: 2, heads: 2, headSize: 4, experts: 2, moeInterval: 2, groupSize: rows * length };
  const model = openmoe({ ...OPENMOE_DEFAULTS, ...sizes, vocab: tokens.reduce((a, b) => Math.max(a, b), 0) + 1, referenceGroups: true });
  const specs = { ...parameterSpecs(model), tokens: { shape: [rows * length], dtype: 'i32' as const } };
  const program = trace('mask', specs, (a) => {
    const input = { tokens: a['tokens']!, segments: full([rows, length], 1, 'i32'), mode: 'eval', padded: true } as const;
    return { results: { hidden: model.apply((path) => a[path]!, input).hidden } };
  });
  const { hidden } = (await evaluate(executor, program, { ...Object.fromEntries(initialValues(model, 1)), tokens })) as {
    hidden: Float32Array;
  };
  const mask = Array.from(tokens, (_, n) => Number(hidden.subarray(n * width, (n + 1) * width).some((x) => x !== 0)));
  to.same('mask', mask, file.at('logit_mask.mask').data);
}
