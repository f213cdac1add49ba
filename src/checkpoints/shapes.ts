/** What the tensors themselves say of a model's sizes, and where a config says otherwise. */
import { EXIT, type Problem, UserError } from '../base/index.ts';
import { type DecoderConfig, FAMILIES, type Family } from '../models/index.ts';
import type { ReadConfig } from './config.ts';
import { type NameScheme, placedTensors } from './names.ts';

/** Sizes of a small model, all different, so that a size tells which one it is. */
const SMALL = { vocab: 7, hidden: 11, inner: 13, layers: 2, moeInterval: 2, experts: 5, heads: 1, headSize: 34 } as const;
/** What a size of the small model stands for: a key of config.json, and how many times its value. */
const MEANING: Readonly<Record<number, readonly [key: string, times: number]>> = {
  [SMALL.vocab]: ['vocab_size', 1],
  [SMALL.hidden]: ['hidden_size', 1],
  [SMALL.inner]: ['intermediate_size', 1],
  [2 * SMALL.inner]: ['intermediate_size', 2],
  [4 * SMALL.inner]: ['intermediate_size', 4],
  [SMALL.experts]: ['num_experts', 1],
  [SMALL.headSize]: ['num_attention_heads × head_dim', 1],
};
const LAYER = /(layers[._])(\d+)/;

/** Throws UserError E_MODEL_CONFIG (exit 4) where all tensors agree on a size and the config has another. */
export function refuseContradiction(
  { family, config }: ReadConfig,
  {
    scheme,
    shapes,
    place,
  }: { readonly scheme: NameScheme; readonly shapes: ReadonlyMap<string, readonly number[]>; readonly place: string },
): void {
  const said = configured(config);
  const problems: Problem[] = [...sizesSaid(shapes, family, { config, scheme })].flatMap(([key, sizes]) => {
    const [size, ...others] = [...sizes];
    return others.length > 0 || size === said[key] ? [] : [{ message: `${key} is ${said[key]}, the weights have ${size}`, place }];
  });
  const layers = new Set([...shapes.keys()].flatMap((name) => LAYER.exec(name)?.[2] ?? []));
  if (layers.size > 0 && layers.size !== config.layers)
    problems.push({ message: `num_hidden_layers is ${config.layers}, the weights have ${layers.size}`, place });
  const routed = [
    ...new Set(
      [...shapes.keys()]
        .filter((name) => /mlp[./](gate_weight|gate\.weight|router\/)/.test(name))
        .map((name) => Number(LAYER.exec(name)?.[2])),
    ),
  ];
  const wrong = routed.filter((layer) => (layer + 1) % config.moeInterval !== 0).sort((a, b) => a - b);
  if (wrong.length > 0)
    problems.push({
      message: `moe_layer_interval is ${config.moeInterval}, but layers ${wrong.slice(0, 8).join(', ')} of the weights have routers`,
      place,
    });
  if (problems.length > 0) throw new UserError('E_MODEL_CONFIG', EXIT.damaged, problems);
}

const configured = (c: DecoderConfig): Readonly<Record<string, number>> => ({
  vocab_size: c.vocab,
  hidden_size: c.hidden,
  intermediate_size: c.inner,
  num_experts: c.experts,
  'num_attention_heads × head_dim': c.heads * c.headSize,
});

/** Every value that tensors give a key. */
function sizesSaid(
  shapes: ReadonlyMap<string, readonly number[]>,
  family: Family,
  { config, scheme }: { config: DecoderConfig; scheme: NameScheme },
): Map<string, Set<number>> {
  const small = placedTensors(FAMILIES[family]({ ...config, ...SMALL }), scheme);
  const like = new Map(small.map((t) => [t.name, t.shape]));
  const said = new Map<string, Set<number>>();
  for (const [name, shape] of shapes) {
    const forms = [0, 1]
      .map((layer) => like.get(name.replace(LAYER, `$1${layer}`).replace(/(experts\.)\d+/, '$10')))
      .filter((form) => form !== undefined);
    const form = forms[0];
    if (form?.length !== shape.length || forms.some((f) => f.join() !== form.join())) continue;
    form.forEach((size, i) => {
      const [key, times] = MEANING[size]!;
      said.set(key, (said.get(key) ?? new Set()).add(shape[i]! / times));
    });
  }
  return said;
}
