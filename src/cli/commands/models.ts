/** openmoe models: checkpoints of every format, looked at, checked, compared, converted, made. */
import type { Group } from '../command.ts';

export const models: Group = {
  about: 'Looks at checkpoints of every format, checks, compares, converts and makes them',
  examples: [
    'models list',
    'models pull hf:OrionZheng/openmoe-base',
    'models info last',
    'models convert openmoe-8b out --dtype bf16',
    'models verify out',
    'models diff openmoe-8b out',
  ],
  entries: {
    list: { about: 'lists runs and downloaded models', load: async () => (await import('./models-list.ts')).list },
    pull: {
      about: 'fetches a model from the hub into the cache of this machine',
      load: async () => (await import('./models-pull.ts')).pull,
    },
    info: {
      about: 'says what a checkpoint is: parameters, types, shards, memory that it needs',
      load: async () => (await import('./models-info.ts')).info,
    },
    convert: {
      about: 'writes a checkpoint again with other names or types, as a Hugging Face folder',
      load: async () => (await import('./models-convert.ts')).convert,
    },
    verify: {
      about: 'checks names, shapes, hashes and that every weight is a number',
      load: async () => (await import('./models-verify.ts')).verify,
    },
    diff: { about: 'shows how far two checkpoints are apart, by tensor', load: async () => (await import('./models-diff.ts')).diff },
    make: { about: 'makes checkpoints of any size by a formula', load: async () => (await import('./models-make.ts')).make },
    parity: {
      about: 'runs fixtures of the reference implementations through this engine',
      load: async () => (await import('./models-parity.ts')).parity,
    },
  },
};
