/** base: leaf nouns that everyone may use. Knows nothing of the rest of the house. */
export { bf16FromF32, concat, f32FromBf16, f32FromF16, roundBf16 } from './bytes.ts';
export { inColumns } from './columns.ts';
export { EXIT, invariant, nearest, suggest, UserError, type Problem } from './errors.ts';
export { jsonLine, parseGrowingJsonLines, type JsonLine } from './jsonl.ts';
export { lives } from './living.ts';
export { fnv1a, mix32, rng, type Rng } from './rng.ts';
export {
  headerLength,
  layout,
  readHeader,
  type SafeDType,
  type SafeHeader,
  type SafeLayout,
  type SafeTensor,
  type SafeTensorSpec,
} from './safetensors.ts';
export { formatBytes, formatCount, formatDuration, formatShare, parseCount, parseDuration, sparkline } from './text-format.ts';
