/** From `train NAME key=value…` to a complete recipe, and where each of its settings came from. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { RECIPES } from '../../recipes/index.ts';
import { EXIT, type Problem, suggest, UserError } from '../base/index.ts';
import { checkRecipe, keysAt, override, type Recipe, type RecipeInput } from '../train/index.ts';

export interface RecipeChoice {
  readonly recipe: Recipe;
  /** By setting, `model.experts`: `default`, `recipe quickstart`, `model.experts=16` or `--seed`. */
  readonly origin: Readonly<Record<string, string>>;
}

/** Assignments as typed, each with where it was typed. */
export interface Assignment {
  readonly text: string;
  readonly origin: string;
}

/** Throws UserError E_RECIPE_UNKNOWN (not found), E_RECIPE_FILE, E_USAGE, E_CONFIG_KEY, E_CONFIG (usage). */
export async function chooseRecipe(name: string, assignments: readonly Assignment[]): Promise<RecipeChoice> {
  return changed({ input: await namedRecipe(name), name: `recipe ${name}` }, assignments);
}

/** A recipe with assignments applied in their order. */
export function changed(base: { readonly input: RecipeInput; readonly name: string }, assignments: readonly Assignment[]): RecipeChoice {
  refuseOdd(base.input, assignments);
  const overridden = override(
    base.input,
    assignments.map((a) => a.text),
  );
  const checked = checkRecipe(overridden, base.name);
  const { source } = checked.data;
  // A run may be resumed from elsewhere.
  const recipe = source === 'starter' ? checked : { ...checked, data: { ...checked.data, source: resolve(source) } };
  return { recipe, origin: origins({ recipe: checked, input: overridden, name: base.name }, assignments) };
}

function refuseOdd(input: RecipeInput, assignments: readonly Assignment[]): void {
  const odd = assignments.filter(({ text }) => !isAssignment(text));
  if (odd.length > 0)
    throw new UserError(
      'E_USAGE',
      EXIT.usage,
      odd.map(({ text }): Problem => ({ message: `${text}: not a setting`, hint: 'write key=value, or ~key for its default' })),
    );
  const groups = assignments.flatMap(({ text }): Problem[] => {
    const name = settingOf(text);
    const inside = text.startsWith('~') ? [] : keysAt(name.split('.'), input);
    return inside.length > 0
      ? [{ message: `${name}: a group of settings`, place: text, hint: `name one: ${inside.map((key) => `${name}.${key}`).join(', ')}` }]
      : [];
  });
  if (groups.length > 0) throw new UserError('E_CONFIG_KEY', EXIT.usage, groups);
}

export const isAssignment = (text: string): boolean => /^~[^=]+$|^[^=~][^=]*=/s.test(text);

async function namedRecipe(name: string): Promise<RecipeInput> {
  const known = Object.hasOwn(RECIPES, name) ? RECIPES[name] : undefined;
  if (known) return known;
  if (/[/\\]|\.[cm]?[jt]s$/.test(name)) return fromFile(name);
  throw new UserError('E_RECIPE_UNKNOWN', EXIT.notFound, {
    message: `${name}: no such recipe`,
    hint: `${suggest(name, Object.keys(RECIPES))} · a file of your own ends in .ts`,
  });
}

/** A file's export `recipe`, or its only one. */
async function fromFile(path: string): Promise<RecipeInput> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile())
    throw new UserError('E_RECIPE_UNKNOWN', EXIT.notFound, {
      message: 'there is no such recipe file',
      place: path,
      hint: `recipes by name: ${Object.keys(RECIPES).join(', ')}`,
    });
  const exported = await imported(path);
  const chosen = exported['recipe'] ?? (Object.keys(exported).length === 1 ? Object.values(exported)[0] : undefined);
  if (typeof chosen === 'object' && chosen !== null) return chosen as RecipeInput;
  throw fileError(path, `exports ${Object.keys(exported).join(', ') || 'nothing'}`, 'export one recipe: export const recipe = { … }');
}

async function imported(path: string): Promise<Record<string, unknown>> {
  const url = pathToFileURL(resolve(path)).href;
  try {
    return (await (/\.[cm]?ts$/.test(path) ? importTypeScript(url) : import(url))) as Record<string, unknown>;
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw fileError(
      path,
      `cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      (error as NodeJS.ErrnoException | undefined)?.code === 'ERR_UNKNOWN_FILE_EXTENSION'
        ? 'install tsx beside openmoe, or write the recipe as .mjs'
        : 'it is an ECMAScript module that exports a recipe',
    );
  }
}

/**
 * Node 20 reads none by itself; an installed package has no loader. The loader's own import, for with its hooks alone a file outside any package
 * of type `module` would be taken for CommonJS and left as it is.
 */
async function importTypeScript(url: string): Promise<unknown> {
  const loader = await import('tsx/esm/api').catch(() => undefined);
  return loader ? loader.tsImport(url, import.meta.url) : import(url);
}

const fileError = (path: string, message: string, hint: string): UserError =>
  new UserError('E_RECIPE_FILE', EXIT.usage, { message, place: path, hint });

interface Checked {
  readonly recipe: Recipe;
  readonly input: RecipeInput;
  readonly name: string;
}

function origins({ recipe, input, name }: Checked, assignments: readonly Assignment[]): Record<string, string> {
  const assigned = new Map(assignments.map(({ text, origin }) => [settingOf(text), text.startsWith('~') ? undefined : origin] as const));
  return Object.fromEntries(
    leaves(recipe).map(([path, value]) => [path, assigned.get(path) ?? (isDefault({ input, name }, path, value) ? 'default' : name)]),
  );
}

/** `data=PATH` means the source of the data. */
function settingOf(text: string): string {
  const name = text.replace(/^~/, '').split('=')[0]!;
  return name === 'data' ? 'data.source' : name;
}

/** Settings with their values; a list is one value. */
export function leaves(value: object, path: readonly string[] = []): [string, unknown][] {
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]): [string, unknown][] =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? leaves(inner, [...path, key])
      : [[[...path, key].join('.'), inner]],
  );
}

/** Whether leaving the setting out gives the same. */
function isDefault({ input, name }: { readonly input: RecipeInput; readonly name: string }, path: string, value: unknown): boolean {
  try {
    const without = checkRecipe(override(input, [`~${path}`]), name);
    return leaves(without).some(([at, other]) => at === path && JSON.stringify(other) === JSON.stringify(value));
  } catch (error) {
    if (error instanceof UserError) return false; // it must be given
    throw error;
  }
}

/** Settings in which two recipes differ, as `key: before → after`. */
export function differences(before: object, after: object): string[] {
  const [old, now] = [new Map(leaves(before)), new Map(leaves(after))];
  const shown = (value: unknown): string => (value === undefined ? 'absent' : JSON.stringify(value));
  return [...new Set([...old.keys(), ...now.keys()])]
    .filter((key) => shown(old.get(key)) !== shown(now.get(key)))
    .map((key) => `${key}: ${shown(old.get(key))} → ${shown(now.get(key))}`);
}
