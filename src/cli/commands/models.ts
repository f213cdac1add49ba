/** openmoe models: verbs about checkpoints. */
import type { Group } from '../command.ts';

export const models: Group = {
  about: 'Compares and converts checkpoints',
  examples: ['models parity fixtures/torch'],
  entries: {
    parity: {
      about: 'runs reference fixtures through this engine',
      load: async () => (await import('./models-parity.ts')).parity,
    },
  },
};
