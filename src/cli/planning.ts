/** What a run would take, found out without running it: memory from the real programs, planned but given no memory. */
import { EXIT, formatBytes, UserError } from '../base/index.ts';
import { type Buffer, type BufferSpec, type Executor, fuse, lower, plan } from '../exec/index.ts';
import { openEvaluator } from '../infer/index.ts';
import { bytesOf } from '../models/index.ts';
import { modelOf, openSession, type Recipe, trainingFlops } from '../train/index.ts';

export interface MemoryPlan {
  readonly parameters: number;
  readonly optimizer: number;
  /** Intermediate values of the training step, and of validation beside it. */
  readonly step: number;
  readonly validation: number;
  readonly total: number;
}

/** Bytes that training holds, apart from the text itself. */
export async function planMemory(recipe: Recipe): Promise<MemoryPlan> {
  const model = modelOf(recipe);
  const session = await openSession(model, recipe, planner);
  const rows = { rows: recipe.train.batch, length: recipe.data.length };
  const evaluator = await openEvaluator(model, planner, { ...rows, mode: 'eval', padded: true, losses: true, routing: false });
  const { parameters, optimizer, arena: step } = session.memory;
  return { parameters, optimizer, step, validation: evaluator.memory, total: parameters + optimizer + step + evaluator.memory };
}

/** An executor that compiles and never runs. */
const planner: Executor = {
  name: 'planner',
  load: (program) =>
    Promise.resolve({ arguments: program.arguments, memory: plan(fuse(lower(program, () => true))).bytes, run: refuse, close() {} }),
  zeros: described,
  put: (_, spec) => described(spec),
  write() {},
  get: refuse,
  close() {},
};

function described(spec: BufferSpec): Buffer {
  return { ...spec, bytes: bytesOf(spec) };
}

function refuse(): never {
  throw new Error('internal: the planner runs nothing');
}

/** Model FLOPs of one trained token. */
export const flopsPerToken = (recipe: Recipe): number => trainingFlops(modelOf(recipe), 1, recipe.data.length) / recipe.data.length;

export const tokensPerStep = ({ train, data }: Recipe): number => train.batch * train.accumulate * data.length;

/** Throws UserError E_MEMORY (does not fit) naming the settings that would fit, when `memory` is more than `limit` bytes. */
export async function refuseTooLarge(recipe: Recipe, memory: MemoryPlan, limit: number): Promise<void> {
  if (memory.total <= limit) return;
  const smaller = await fittingTraining(recipe, limit);
  throw new UserError('E_MEMORY', EXIT.doesNotFit, {
    message: `training needs ${formatBytes(memory.total)} and this machine has ${formatBytes(limit)}`,
    place: `recipe ${recipe.name}`,
    hint: smaller
      ? `this fits: ${settings(recipe.train, smaller)}`
      : 'no batch makes it fit: use fewer experts, fewer layers or less model.hidden',
  });
}

type Training = Recipe['train'];
/** `train.batch=4 train.accumulate=2`: what differs. */
const settings = (from: Training, to: Training): string =>
  (['recompute', 'batch', 'accumulate'] as const).flatMap((k) => (from[k] === to[k] ? [] : [`train.${k}=${to[k]}`])).join(' ');

/** Beyond this the program of a step, which holds every part, takes long to make. */
const MOST_PARTS = 16;

/** With activations recomputed, which changes no bit; and if that is not enough, with the step cut into microbatches: the same number of rows a step. */
async function fittingTraining(recipe: Recipe, limit: number): Promise<Training | undefined> {
  for (let train: Training = { ...recipe.train, recompute: 'layer' }; ;) {
    const { parameters, optimizer, total } = await planMemory({ ...recipe, train });
    if (total <= limit) return train;
    if (parameters + optimizer > limit || train.batch % 2 !== 0 || train.accumulate >= MOST_PARTS) return undefined;
    train = { ...train, batch: train.batch / 2, accumulate: train.accumulate * 2 };
  }
}
