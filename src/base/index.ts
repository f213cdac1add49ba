/** base: leaf nouns that everyone may use. Knows nothing of the rest of the house. */
export { bf16FromF32, concat, f16FromF32, f32FromBf16, f32FromF16, hex } from './bytes.ts';
export { EXIT, invariant, nearest, suggest, UserError, type Problem } from './errors.ts';
export { jsonLine, parseGrowingJsonLines, parseJsonLines, type JsonLine } from './jsonl.ts';
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
export {
  formatBytes,
  formatCount,
  formatDuration,
  formatShare,
  parseBytes,
  parseCount,
  parseDuration,
  parseShare,
  sparkline,
} from './text-format.ts';
