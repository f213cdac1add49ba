/** Tensors without a model: for those who look at files that no config.json describes. */
import { type NamedSource, storedSource } from './source.ts';
import type { TensorFiles } from './tensor-files.ts';

/** As they are stored, by name, ascending. */
export const storedAs = (tensors: TensorFiles['tensors']): readonly NamedSource[] =>
  [...tensors.values()].sort((a, b) => (a.name < b.name ? -1 : 1)).map(({ name, view }) => ({ name, source: storedSource({ view }) }));
