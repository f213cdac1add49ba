/** openmoe models make formula: a checkpoint of any size whose weights everyone can compute. */
import { readFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { EXIT, formatBytes, formatDuration, type Problem, UserError } from '../../base/index.ts';
import { BASE_SIZE, type Formula, makeFormula, OUT_TYPES, readFormula, SHARD_BYTES, writeFolder } from '../../checkpoints/index.ts';
import { openProgress } from '../byte-progress.ts';
import { command, type Group, parseText, parseWord, required, value, valueOr } from '../command.ts';
import { shownPath } from '../surroundings.ts';

const formula = command({
  about:
    'Writes a checkpoint whose weights are a function of name and index; without a file, OpenMoE-Base at its real size, 0.8 billion parameters',
  examples: ['models make formula base', 'models make formula base --spec base-size.json', 'models make formula base-bf16 --dtype bf16'],
  args: { out: required('the folder to write; must not be there yet') },
  flags: {
    spec: value({
      form: '<file>',
      about:
        'JSON with config, seed and scales by kind of tensor; where it has weights with a crc32, what is written is compared with those',
      parse: parseText,
    }),
    dtype: valueOr({ form: '<type>', about: `element type: ${OUT_TYPES.join(', ')}`, parse: parseWord(OUT_TYPES), standard: 'f32' }),
  },
  saves: true,
  async run({ args: { out: path }, flags: { spec, dtype }, terminal, signal }) {
    const started = performance.now();
    const { of, sums } = spec === undefined ? { of: BASE_SIZE, sums: new Map<string, string>() } : await readSpec(spec);
    const progress = openProgress(terminal, formatBytes);
    const made = new Map<string, number>();
    const onValues = (name: string, values: Float32Array): void => {
      if (sums.has(name)) made.set(name, crc32(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), made.get(name) ?? 0));
    };
    try {
      const watching = { signal, onProgress: progress.show, onValues };
      const written = await writeFolder(path, async (out) => {
        const result = await makeFormula(of, { out, type: dtype, shardBytes: SHARD_BYTES, place: spec ?? 'OpenMoE-Base', watching });
        checkSums(sums, made, spec ?? '');
        return result;
      });
      const data = {
        out: path,
        dtype,
        seed: of.seed,
        tensors: written.tensors,
        bytes: written.bytes,
        checked: made.size,
        seconds: (performance.now() - started) / 1000,
      };
      const checked = made.size > 0 ? `, ${made.size} checksums equal` : '';
      return {
        schema: 'openmoe.models-make/1',
        data,
        text: `${written.tensors} tensors, ${formatBytes(written.bytes)}${checked}, ${formatDuration(data.seconds)}: ${shownPath(path)}\n`,
      };
    } finally {
      progress.close();
    }
  },
});

/** A formula, and CRC-32 sums of little-endian f32 bytes by tensor, in hexadecimal. Throws UserError E_FORMULA (usage). */
async function readSpec(path: string): Promise<{ of: Formula; sums: ReadonlyMap<string, string> }> {
  let json: { readonly weights?: Readonly<Record<string, { readonly crc32?: unknown }>> } & Record<string, unknown>;
  try {
    json = JSON.parse(await readFile(path, 'utf8')) as typeof json;
  } catch (error) {
    throw new UserError('E_FORMULA', EXIT.usage, { message: `cannot be read: ${(error as Error).message}`, place: path });
  }
  const sums = Object.entries(json.weights ?? {}).map(([name, w]) => [name, String(w?.crc32)] as const);
  return { of: readFormula(json, path), sums: new Map(sums) };
}

/** Throws UserError E_CHECKSUM (check failed) naming every tensor that came out otherwise. */
function checkSums(sums: ReadonlyMap<string, string>, made: ReadonlyMap<string, number>, place: string): void {
  const problems: Problem[] = [...sums].flatMap(([name, sum]) => {
    const got = made.get(name)?.toString(16).padStart(8, '0');
    return got === sum ? [] : [{ message: `${name} has CRC-32 ${got ?? 'of nothing: the model has no such tensor'}, not ${sum}`, place }];
  });
  if (problems.length > 0) throw new UserError('E_CHECKSUM', EXIT.checkFailed, problems);
}

export const make: Group = {
  about: 'Makes checkpoints of any size',
  examples: ['models make formula base'],
  entries: { formula: { about: formula.about, load: () => Promise.resolve(formula) } },
};
