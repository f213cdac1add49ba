/** openmoe models pull: the files of a model on the hub brought into the cache that other tools of the hub share. */
import { formatBytes, formatDuration } from '../../base/index.ts';
import { hubSettings, parseHubReference, pull as pullModel } from '../../hub/index.ts';
import { openProgress } from '../byte-progress.ts';
import { command, required, yes } from '../command.ts';

export const pull = command({
  about: 'Fetches a model from the hub: only what is missing, checked by hash; run it again to go on where it stopped',
  examples: ['models pull hf:OrionZheng/openmoe-base', 'models pull hf:OrionZheng/openmoe-8b@main --all'],
  args: { model: required('hf:org/name or hf:org/name@revision') },
  flags: { all: yes('every file of the model, not only weights, configuration and tokenizer') },
  saves: true,
  async run({ args, flags, terminal, signal }) {
    const started = performance.now();
    const settings = hubSettings(terminal.env);
    const progress = openProgress(terminal, formatBytes);
    try {
      const { folder, commit, files, bytesFetched } = await pullModel(parseHubReference(args.model), settings, {
        ...(!flags.all && { choose: whatAModelNeeds }),
        signal,
        onProgress: ({ files, filesDone, bytes, bytesDone }) => progress.show(bytesDone, bytes, `${filesDone} of ${files} files`),
        onRetry: (why, seconds) => terminal.say(`${why}; trying again${seconds > 0 ? ` in ${formatDuration(seconds)}` : ''}`),
      });
      progress.close();
      const bytes = files.reduce((sum, f) => sum + f.bytes, 0);
      const data = {
        model: args.model,
        commit,
        folder,
        files,
        bytes,
        bytes_fetched: bytesFetched,
        seconds: (performance.now() - started) / 1000,
      };
      const text = `${files.length} files, ${formatBytes(bytes)}, of which ${formatBytes(bytesFetched)} came now in ${formatDuration(data.seconds)}: ${folder}\n`;
      return { schema: 'openmoe.models-pull/1', data, text };
    } finally {
      progress.close();
    }
  },
});

const WEIGHTS = /\.safetensors(\.index\.json)?$/;
const PICKLES = /(^|\/)pytorch_model.*\.bin(\.index\.json)?$/;
const BESIDE = /^[^/]*(\.json|\.model|\.txt|\.jinja)$|^(README|LICEN[CS]E)/i;

/** Weights once, safetensors where there are such, and the small files at the top. */
export function whatAModelNeeds(names: readonly string[]): readonly string[] {
  const safe = names.filter((name) => WEIGHTS.test(name));
  const weights = new Set(safe.length > 0 ? safe : names.filter((name) => PICKLES.test(name)));
  return names.filter((name) => weights.has(name) || (BESIDE.test(name) && !WEIGHTS.test(name) && !PICKLES.test(name)));
}
