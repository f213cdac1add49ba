/** The names of the plain PyTorch port: those of the releases, but one linear layer for each matrix of each expert, [out,in] (reference 9.2). */
import type { Parameter, Place } from './names.ts';

const EXPERTS: Readonly<Record<string, string>> = { wi_gate: 'gate_proj', wi_up: 'up_proj', wo: 'down_proj' };

export function placeNativePt({ foreign, shape }: Parameter): Place {
  const [, before, kind] = /^(.*\.mlp\.experts\.)(wi_gate|wi_up|wo)$/.exec(foreign.name) ?? [];
  if (before !== undefined)
    return {
      names: Array.from({ length: shape[0]! }, (_, e) => `${before}${e}.${EXPERTS[kind!]!}.weight`),
      transposed: true,
      stacked: true,
    };
  return { names: [foreign.name.replace(/\.mlp\.gate_weight$/, '.mlp.gate.weight')], transposed: foreign.transposed, stacked: false };
}
