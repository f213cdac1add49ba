/** Conversion needs memory for what it works on, not for a tensor: two of half a gigabyte pass through a part of that. */
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openmoe, OPENMOE_DEFAULTS } from '../models/index.ts';
import { openCheckpoint } from './checkpoint.ts';
import { convert, releasedTensors } from './convert.ts';
import { diskFiles } from './disk.node.ts';
import { examine } from './examine.ts';
import { torchZip } from './fake-torch.ts';
import { placedTensors } from './names.ts';
import { writeFolder } from './out.node.ts';
import { denseStrides, sizeOf } from './view.ts';
import { SHARD_BYTES } from './write-tensors.ts';

const STATUS = '/proc/self/status';
const anonymous = (): number => 1024 * Number(/RssAnon:\s+(\d+)/.exec(readFileSync(STATUS, 'utf8'))![1]);
const MB = 2 ** 20;

/** Sparse: holes but for the archive's own bytes. Returns its length. */
function writeSparse(folder: string): number {
  const model = openmoe({
    ...OPENMOE_DEFAULTS,
    vocab: 256_384,
    hidden: 512,
    inner: 64,
    layers: 1,
    heads: 2,
    headSize: 8,
    moeInterval: 1,
    experts: 2,
  });
  const tensors = placedTensors(model, 'hf');
  const file = torchZip({
    storages: tensors.map((t, i) => ({ key: String(i), dtype: 'F32', count: sizeOf(t.shape) })),
    tensors: tensors.map((t, i) => ({ name: t.name, storage: String(i), shape: t.shape, strides: denseStrides(t.shape) })),
  });
  mkdirSync(folder);
  const fd = openSync(join(folder, 'pytorch_model.bin'), 'w');
  ftruncateSync(fd, file.size);
  for (const { at, bytes } of file.parts) writeSync(fd, bytes, 0, bytes.length, at);
  closeSync(fd);
  writeFileSync(join(folder, 'config.json'), JSON.stringify(model.foreignConfig()));
  return file.size;
}

describe.runIf(existsSync(STATUS))('1.05 GB in two tensors', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'openmoe-memory-'));
  const source = join(scratch, 'sparse');
  const size = writeSparse(source);
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));
  let peak = 0;
  const watching = { signal: new AbortController().signal, onProgress: () => (peak = Math.max(peak, anonymous())) };

  test.each([
    ['hf', 'bf16', 160],
    ['t5x', 'f16', 480],
    ['hf', 'int8', 160],
  ] as const)('to %s names and %s takes less than a tensor has', async (names, type, most) => {
    expect(size).toBeGreaterThan(1000 * MB);
    const before = anonymous();
    peak = before;
    const files = diskFiles();
    const checkpoint = await openCheckpoint(source, files);
    const out = join(scratch, `${names}-${type}`);
    await writeFolder(out, (to) => convert(checkpoint, files, { names, type, shardBytes: SHARD_BYTES, out: to, watching }));
    await checkpoint.close();
    expect((peak - before) / MB).toBeLessThan(most);
    const { size: length, blocks } = statSync(join(out, 'model.safetensors'));
    expect(length).toBeGreaterThan(250 * MB);
    expect(blocks * 512).toBeLessThan(8 * MB); // holes stay holes
  });

  test('looking through all of it takes a few boxes', async () => {
    const before = anonymous();
    peak = before;
    const checkpoint = await openCheckpoint(source, diskFiles());
    let elements = 0;
    for await (const facts of examine(releasedTensors(checkpoint), watching)) elements += facts.elements;
    await checkpoint.close();
    expect(elements).toBe(checkpoint.model.counts.total);
    expect((peak - before) / MB).toBeLessThan(160);
  });
});
