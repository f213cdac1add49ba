/** parity: this engine beside the references, on fixtures that they computed. Must not know terminals. */
export { openFixtures } from './folder.node.ts';
export { runParity, type Report } from './parity.ts';
export type { FixtureFolder } from './reading.ts';
export type { Measure, Row } from './row.ts';
