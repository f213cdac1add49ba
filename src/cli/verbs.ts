/** The table of verbs, in the order of their use; each is loaded when it is called. */
import type { Group } from './command.ts';

export const OPENMOE: Group = {
  about: 'Trains, runs and looks inside Mixture-of-Experts language models',
  examples: ['quickstart', 'train tiny', "generate last 'The capital of France'", 'runs', 'doctor'],
  entries: {
    quickstart: {
      about: 'the whole path in three minutes: data, training, report, text',
      load: async () => (await import('./commands/quickstart.ts')).quickstart,
    },
    train: { about: 'trains a recipe, or says what that would take', load: async () => (await import('./commands/train.ts')).train },
    generate: { about: 'continues a prompt with a trained model', load: async () => (await import('./commands/generate.ts')).generate },
    inspect: {
      about: 'shows what the routers of a run do: load, drops, a token in its contexts',
      load: async () => (await import('./commands/inspect.ts')).inspect,
    },
    report: {
      about: 'writes what a run shows about its routers as one HTML file',
      load: async () => (await import('./commands/report.ts')).report,
    },
    runs: { about: 'lists the runs of this folder with their state', load: async () => (await import('./commands/runs.ts')).runs },
    tokenizer: {
      about: 'trains tokenizers, and shows what they do to a text',
      load: async () => (await import('./commands/tokenizer.ts')).tokenizer,
    },
    models: {
      about: 'looks at checkpoints of every format, checks, compares, converts and makes them',
      load: async () => (await import('./commands/models.ts')).models,
    },
    bench: {
      about: 'measures kernels and the training step against the peak',
      load: async () => (await import('./commands/bench.ts')).bench,
    },
    doctor: { about: 'says what this machine can do', load: async () => (await import('./commands/doctor.ts')).doctor },
  },
};
