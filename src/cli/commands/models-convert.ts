/** openmoe models convert: a checkpoint of any format written again as a Hugging Face folder. */
import { formatBytes, formatCount, formatDuration } from '../../base/index.ts';
import {
  convert as convertModel,
  diskFiles,
  type NameScheme,
  openCheckpoint,
  OUT_TYPES,
  SCHEME_NAMES,
  SHARD_BYTES,
  writeFolder,
} from '../../checkpoints/index.ts';
import { openProgress } from '../byte-progress.ts';
import { command, parseWord, required, valueOr } from '../command.ts';
import { findModel, MODEL } from '../model-reference.ts';
import { shownPath } from '../surroundings.ts';

export const convert = command({
  about:
    'Writes a checkpoint of any format again as safetensors with config.json, a tensor at a time; nothing is left behind when it ends early',
  examples: [
    'models convert openmoe-8b openmoe-8b-bf16 --dtype bf16',
    'models convert last out',
    'models convert m1 out --names t5x',
    'models convert pytorch_model.bin out --dtype int8',
  ],
  args: { model: required(MODEL), out: required('the folder to write; must not be there yet') },
  flags: {
    names: valueOr<NameScheme>({
      form: '<scheme>',
      about: `names of tensors: ${SCHEME_NAMES.join(', ')}`,
      parse: parseWord(SCHEME_NAMES),
      standard: 'hf',
    }),
    dtype: valueOr({ form: '<type>', about: `element type: ${OUT_TYPES.join(', ')}`, parse: parseWord(OUT_TYPES), standard: 'f32' }),
  },
  saves: true,
  async run({ args, flags, terminal, signal }) {
    const started = performance.now();
    const { path } = await findModel(args.model, terminal);
    const files = diskFiles();
    const checkpoint = await openCheckpoint(path, files);
    const progress = openProgress(terminal, formatBytes);
    try {
      const watching = { signal, onProgress: progress.show };
      const written = await writeFolder(args.out, (out) =>
        convertModel(checkpoint, files, { names: flags.names, type: flags.dtype, shardBytes: SHARD_BYTES, out, watching }),
      );
      progress.close();
      for (const [name, count] of written.overflowed)
        terminal.say(`warning: ${name}: ${count} weights are too large for ${flags.dtype} and became infinite`);
      const data = {
        from: checkpoint.place,
        out: args.out,
        names: flags.names,
        dtype: flags.dtype,
        tensors: written.tensors,
        bytes: written.bytes,
        shards: written.shards,
        overflowed: Object.fromEntries(written.overflowed),
        seconds: (performance.now() - started) / 1000,
      };
      const parts = `${data.shards.length} ${data.shards.length === 1 ? 'file' : 'shards'}`;
      const text = `${formatCount(checkpoint.model.counts.total)} parameters, ${formatBytes(data.bytes)} in ${parts}, ${formatDuration(data.seconds)}: ${shownPath(args.out)}\n`;
      return { schema: 'openmoe.models-convert/1', data, text };
    } finally {
      progress.close();
      await checkpoint.close();
    }
  },
});
