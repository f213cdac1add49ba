/** openmoe models list: runs with their newest checkpoint, and the models that Hugging Face's tools have downloaded. */
import { inColumns } from '../../base/index.ts';
import { cachedModels, hubSettings } from '../../hub/index.ts';
import { listRuns } from '../../runs/index.ts';
import { command } from '../command.ts';
import { runsRoot, shownPath } from '../surroundings.ts';

export const list = command({
  about: 'Lists runs that have saved a checkpoint, newest first, and downloaded models of the Hugging Face cache',
  examples: ['models list', "models list --json | jq '.models[].ref'"],
  async run({ terminal }) {
    const runs = (await listRuns(runsRoot(terminal.env))).filter((run) => run.step !== undefined);
    const settings = hubSettings(terminal.env);
    const cached = await cachedModels(settings);
    const rows = [
      ...runs.map(({ id, dir, step, state }) => ({ ref: id, kind: 'run' as const, revision: `step ${step}`, state, folder: dir })),
      ...cached.map(({ repository, commit, folder }) => ({
        ref: `hf:${repository}`,
        kind: 'hub' as const,
        revision: commit,
        state: 'downloaded',
        folder,
      })),
    ];
    const data = { runs: runsRoot(terminal.env), cache: settings.cache, models: rows };
    const text =
      rows.length > 0
        ? inColumns([
            ['model', 'revision', 'state', 'folder'],
            ...rows.map((r) => [r.ref, r.revision.slice(0, 12), r.state, shownPath(r.folder)]),
          ])
        : `no model in ${shownPath(data.runs)} or ${data.cache} yet\n`;
    return { schema: 'openmoe.models-list/1', data, text };
  },
});
