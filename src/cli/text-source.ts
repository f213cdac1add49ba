/** Texts as they are named on a command line: the starter corpus, a recipe's, a file or a folder. */
import { RECIPES } from '../../recipes/index.ts';
import { folder, type Source, starterCorpus } from '../data/index.ts';
import { checkRecipe, sourceOf } from '../train/index.ts';

export const TEXT_FORMS = 'starter, a recipe, or a .txt, .jsonl or .jsonl.gz file or a folder of them';

/** Throws UserErrors of data. */
export async function textSource(name: string): Promise<Source> {
  if (name === 'starter') return starterCorpus();
  const recipe = Object.hasOwn(RECIPES, name) ? RECIPES[name] : undefined;
  return recipe ? sourceOf(checkRecipe(recipe, `recipe ${name}`)) : folder(name);
}

/** Texts of several sources, one after the other. */
export async function* textsOf(sources: readonly Source[]): AsyncGenerator<string> {
  for (const source of sources) {
    const heldOut = new Set(source.domains.filter((d) => d.heldOut).map((d) => d.name));
    for await (const { domain, text } of source.documents()) if (!heldOut.has(domain)) yield text;
  }
}
