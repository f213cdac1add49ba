/** runs: the run folder on disk, the only code that knows its layout. Must not know what the arrays mean. */
export type { Appender } from './appender.ts';
export { writeAtomic } from './disk.ts';
export { environment, packageHome, type Environment } from './environment.ts';
export { findRun, listRuns, type RunReference, type RunSummary } from './find.ts';
export { type NewestSound, readRun, type RunFolder, type RunInfo, type RunState } from './folder.ts';
export type { FileRecord } from './manifest.ts';
export type { Checkpoint, Damage } from './read-checkpoint.ts';
export { createRun, type NewRun, openRun, type Run } from './run.ts';
export type { CheckpointFile, Retention } from './save-checkpoint.ts';
