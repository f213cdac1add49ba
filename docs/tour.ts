/** A tour in library calls: train a tiny OpenMoE, let it write, and ask what its routers did. Run: npx tsx docs/tour.ts [folder of runs] */
import * as openmoe from '../src/index.ts';

const { analyse, createRun, generate, modelOf, openExecutor, openLanguageModel, openProber, prepare, readTrained, recipe, RECIPES, train } =
  openmoe;

// A recipe is a value; an ablation is a spread.
const tiny = recipe({ ...RECIPES['tiny']!, name: 'tour', train: { ...RECIPES['tiny']!.train, steps: 40 } });
const root = process.argv[2] ?? 'runs';
const executor = openExecutor();

// Data, tokenizer, model; then training is a stream of events.
const prepared = await prepare(tiny);
const run = await createRun({ root, recipe: tiny, origin: {}, env: {} });
for await (const event of train({ recipe: tiny, ...prepared, executor, run }))
  if (event.kind === 'validation') console.log(`step ${event.step}: ${event.loss.toFixed(3)} nats per token on validation`);
await run.setState('finished');

// Weights of any checkpoint live with the executor as buffers, by parameter path.
const weightsOf = async (step: number) => {
  const { model, weights } = await readTrained(await run.readCheckpoint(step));
  return Object.fromEntries(model.list.map((p) => [p.path, executor.put(weights.get(p.path)!, { dtype: 'f32', shape: p.shape })]));
};

// Generation.
const last = (await run.checkpoints()).at(-1)!;
const lm = openLanguageModel(modelOf(tiny), executor, await weightsOf(last), { context: 128 });
let text = '';
for await (const token of generate(lm, prepared.tokenizer, 'The country', {
  maxTokens: 24,
  temperature: 0.8,
  topK: 0,
  topP: 0.95,
  seed: 1,
  stop: [],
}))
  text += token.text;
console.log(`The country${text.replaceAll('\n', ' ')}`);

// Routing: the same probe set through every kept checkpoint, then three findings with their verdicts.
const { dataset } = prepared;
const heldOut = dataset.domains.filter((d) => d.heldOut).map((d) => d.name);
const rows = dataset.probeRows({ seed: 0, sequencesPerDomain: 8 });
const set = { rows, length: dataset.length, domains: dataset.domains.map((d) => d.name), heldOut, batch: tiny.train.batch };
const prober = await openProber(modelOf(tiny), executor, set, 'eval');
const records: openmoe.RoutingRecord[] = [];
for (const step of await run.checkpoints()) records.push(await prober.record(await weightsOf(step), { step, share: step / last }));
for (const finding of analyse(records, { seed: 0, trainCapacity: prober.trainCapacity }).findings)
  console.log(`${finding.id}: ${finding.layers.map((l) => `layer ${l.layer} ${l.verdict}`).join(', ')}`);
await run.close();
