/** Findings as verbs print them: one line each, and their JSON. */
import { inColumns } from '../base/index.ts';
import type { Findings } from '../routing/index.ts';

/** In the shape of `openmoe.quickstart/1`. */
export const findingsJson = (findings: Findings | undefined): readonly object[] => findings?.findings ?? [];

/** The verdict of the model, then of each layer. */
export function findingLines(findings: Findings | undefined): string {
  if (!findings) return 'no MoE layer: nothing is routed\n';
  const { tokens, sequences, checkpoints } = findings.probe;
  const rows = findings.findings.flatMap((f) => {
    const row = [f.id, f.verdict, f.layers.map((l) => `layer ${l.layer} ${l.verdict}`).join(', ')];
    if (f.id !== 'context-independent-specialization') return [row];
    return [
      row,
      ['  token over domain', f.token_over_domain, f.layers.map((l) => `layer ${l.layer} ${l.token_over_domain.verdict}`).join(', ')],
    ];
  });
  return `${inColumns(rows)}n: ${tokens} tokens in ${sequences} sequences, ${checkpoints.length} checkpoints\n`;
}
