/** Texts as they are named on a command line: the starter corpus, a recipe's, a file or a folder. */
import { RECIPES } from '../../recipes/index.ts';
import { folder, type Source, starterCorpus } from '../data/index.ts';
import { checkRecipe, sourceOf } from '../train/index.ts';

export const TEXT_FORMS = 'starter, a recipe, or a .txt, .jsonl or .jsonl.gz file or a folder of them';

/** The texts of all names, one after the other. Throws UserErrors of data. */
export async function textSource(names: readonly string[]): Promise<Source> {
  const sources: Source[] = [];
  for (const name of names) sources.push(await namedSource(name));
  return {
    name: names.join(', '),
    domains: sources.flatMap((source) => source.domains),
    async *documents() {
      for (const source of sources) yield* source.documents();
    },
  };
}

async function namedSource(name: string): Promise<Source> {
  if (name === 'starter') return starterCorpus();
  const recipe = Object.hasOwn(RECIPES, name) ? RECIPES[name] : undefined;
  return recipe ? sourceOf(checkRecipe(recipe, `recipe ${name}`)) : folder(name);
}

/** What may be trained on. */
export async function* trainedTexts(source: Source): AsyncGenerator<string> {
  const heldOut = new Set(source.domains.filter((d) => d.heldOut).map((d) => d.name));
  for await (const { domain, text } of source.documents()) if (!heldOut.has(domain)) yield text;
}
