/** openmoe models verify: reads all of a checkpoint and says what is wrong with it. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { EXIT, formatCount, formatDuration, type Problem, UserError } from '../../base/index.ts';
import { examine } from '../../checkpoints/index.ts';
import { openProgress } from '../byte-progress.ts';
import { type Answer, command, required } from '../command.ts';
import { MODEL } from '../model-reference.ts';
import { tokenizerBeside } from '../reading-model.ts';
import { openModel, type OpenedModel } from '../opened-model.ts';

export const verify = command({
  about:
    'Checks a checkpoint: format, names and shapes against its config, hashes where they are known, and that every weight is a finite number',
  examples: ['models verify last', 'models verify openmoe-8b', 'models verify pytorch_model.bin --json'],
  args: { model: required(MODEL) },
  saves: true,
  async run({ args, terminal, signal }): Promise<Answer> {
    const started = performance.now();
    const opened = await openModel(args.model, terminal);
    const progress = openProgress(terminal, formatCount);
    try {
      const hashes = await hashProblems(opened, signal);
      const problems = [...hashes.problems, ...(await tokenizerProblems(opened))];
      let elements = 0;
      for await (const t of examine(opened.tensors(), { signal, onProgress: progress.show })) {
        elements += t.elements;
        if (t.nan + t.infinite > 0)
          problems.push({ message: `${t.name}: ${t.nan} weights are not a number, ${t.infinite} are infinite`, place: opened.found.place });
      }
      if (problems.length > 0) throw new UserError('E_CHECKPOINT_DAMAGED', EXIT.damaged, problems);
      const data = {
        path: opened.found.place,
        ok: true,
        format: opened.found.format,
        names: opened.checkpoint?.names ?? null,
        hashed: hashes.files,
        elements,
        seconds: (performance.now() - started) / 1000,
      };
      const names = opened.checkpoint ? 'names and shapes as its config.json says' : 'no config.json: names and shapes were not checked';
      const text = `sound: ${formatCount(elements)} weights, all finite; ${names}; ${hashes.files.length} files as hashed; ${formatDuration(data.seconds)}\n`;
      return { schema: 'openmoe.models-verify/1', data, text };
    } finally {
      progress.close();
      await opened.files.close();
    }
  },
});

/** Of a run: by its manifest. Of a downloaded model: blobs are named by their SHA-256. */
async function hashProblems(
  { run, step, kind, path, found }: OpenedModel,
  signal: AbortSignal,
): Promise<{ files: readonly string[]; problems: Problem[] }> {
  if (run && step !== undefined) {
    const damages = await run.verifyCheckpoint(step);
    const { files } = await run.readCheckpoint(step);
    return {
      files: files.map((f) => f.name),
      problems: damages.map((d) => ({ message: `${d.file} ${d.reason}`, place: join(path, d.file) })),
    };
  }
  const files: string[] = [];
  const problems: Problem[] = [];
  for (const shard of kind === 'file' ? [] : found.shards) {
    const blob = basename(await realpath(join(path, shard)));
    if (!/^[0-9a-f]{64}$/.test(blob)) continue;
    files.push(shard);
    if ((await sha256(join(path, shard), signal)) !== blob)
      problems.push({ message: `${shard} has other content than its hash says`, place: join(path, shard) });
  }
  return { files, problems };
}

/** The tokenizer is read too: it may be damaged, or have ids beyond the embedding. */
async function tokenizerProblems({ checkpoint }: OpenedModel): Promise<readonly Problem[]> {
  try {
    if (checkpoint) await tokenizerBeside(checkpoint);
    return [];
  } catch (error) {
    if (error instanceof UserError) return error.problems;
    throw error;
  }
}

async function sha256(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 22, signal })) hash.update(piece as Uint8Array);
  return hash.digest('hex');
}
