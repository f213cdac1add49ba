/** base: leaf nouns that everyone may use. Knows nothing of the rest of the house. */
export { EXIT, invariant, nearest, suggest, UserError, type Problem } from './errors.ts';
export { fnv1a, mix32, rng, type Rng } from './rng.ts';
