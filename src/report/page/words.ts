/** What a verdict means, for somebody who has not read the paper. */
import type { ModelVerdict } from '../../routing/index.ts';

type Words = Readonly<Record<ModelVerdict, string>>;

const DIFFER = 'The layers do not agree, so there is no single word for the model; see each layer below.';
const UNDECIDED =
  'Too little data to say: an interval contains the bound, or a condition of the test is not met. The reason stands beside each layer.';

export const TITLES = {
  'context-independent-specialization': 'Context-independent specialization',
  'early-routing-learning': 'Early routing learning',
  'drop-towards-the-end': 'Drop towards the end',
} as const;

export const WORDS: Readonly<Record<keyof typeof TITLES, Words>> = {
  'context-independent-specialization': {
    holds: 'Which expert a token goes to follows from the token itself; the text around it is worth less than half as much.',
    fails:
      'Which expert a token goes to does not follow from the token itself: the token says too little, or the text around it says more.',
    mixed: 'The token itself says most about which expert it goes to, but the text around it is worth more than half as much.',
    undecided: UNDECIDED,
    inherited: UNDECIDED,
    'layers differ': DIFFER,
  },
  'early-routing-learning': {
    holds: 'Half of the final map from token to expert was there after a fifth of training, four fifths of it after two thirds.',
    fails: 'The map from token to expert was still changing late in training.',
    mixed: UNDECIDED,
    undecided: UNDECIDED,
    inherited: 'The untrained router already had the final map: it was kept, not learned.',
    'layers differ': DIFFER,
  },
  'drop-towards-the-end': {
    holds:
      'Tokens late in a routing group lose their expert more often than early ones, and the order in which places are given out does it.',
    fails: 'Late tokens of a routing group do not lose their expert notably more often than early ones, or not because of the order.',
    mixed: UNDECIDED,
    undecided: UNDECIDED,
    inherited: UNDECIDED,
    'layers differ': DIFFER,
  },
};

/** Against what each finding is judged: chance and null. */
export const NULLS: Readonly<Record<keyof typeof TITLES, string>> = {
  'context-independent-specialization':
    'Chance: a router blind to the token, with the same loads (gain 0; meetings as often as other tokens of other domains). Null: the context is worth half of what the token is worth, ½·token − context = 0, in bits and in meetings.',
  'early-routing-learning':
    'Chance: a map unrelated to the final one, 0. Null: map(t) = 0.5 by 20 % of training and 0.8 by 65 %, and not above 0.5 at step 0.',
  'drop-towards-the-end':
    'Chance: 1, as many drops in the last quarter as in the first. Null: the same routes replayed in random priority (drift), so that order decides nothing; the bound of an effect is 1.2.',
};
