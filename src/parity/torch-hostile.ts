/** Files that a reader must refuse, or read: `hostile/`, as its README says of each. */
import { EXIT, UserError } from '../base/index.ts';
import { readView } from '../checkpoints/index.ts';
import { filesIn, type FixtureFolder } from './reading.ts';
import { type Fixture, type Sheet, type Tolerance } from './row.ts';

/** Each file answers within this many seconds. */
const SECONDS: Tolerance = { measure: 'absolute', limit: 1 };

export async function hostileFixtures(folder: FixtureFolder, name: string): Promise<Fixture[]> {
  const said = await readTable(folder, `${name}/README.md`);
  const files = filesIn(folder, name).filter((f) => f !== 'README.md');
  const folders = [...new Set(folder.files.flatMap((f) => new RegExp(`^${name}/([^/]+)/`).exec(f)?.[1] ?? []))];
  return [...files, ...folders].sort().map((entry) => {
    const must = said.get(entry) ?? (entry.startsWith('ok-') ? 'read' : 'refuse');
    const inside = folder.files.filter((f) => f === `${name}/${entry}` || f.startsWith(`${name}/${entry}/`));
    return { name: `${name} ${entry}`, files: [...inside, `${name}/README.md`], run: (to) => check(folder, `${name}/${entry}`, must, to) };
  });
}

/** Rows `| \`file\` | what it is | refuse … or **read** |` of a README. */
async function readTable(folder: FixtureFolder, path: string): Promise<Map<string, 'read' | 'refuse'>> {
  if (!folder.files.includes(path)) return new Map();
  const text = new TextDecoder().decode(await folder.read(path));
  const rows = [...text.matchAll(/^\| *`([^`]+?)\/?` *\|[^|]*\|([^|]*)\|/gm)];
  return new Map(rows.map(([, file, must]) => [file!, /\*\*read\*\*/.test(must!) ? 'read' : 'refuse']));
}

async function check(folder: FixtureFolder, path: string, must: 'read' | 'refuse', to: Sheet): Promise<void> {
  const begun = performance.now();
  const outcome = await tried(folder, path);
  const seconds = (performance.now() - begun) / 1000;
  to.same(must === 'read' ? 'is read' : 'is refused', [Number(outcome === must)], [1]);
  to.near('seconds', [seconds], [0], SECONDS);
}

/** Refused is a typed error with exit 4 and nothing else; everything else that is thrown is our fault. */
async function tried(folder: FixtureFolder, path: string): Promise<'read' | 'refuse' | 'neither'> {
  try {
    await folder.withTensors(path, async ({ tensors }) => {
      for (const { view } of tensors.values()) await readView(view);
    });
    return 'read';
  } catch (error) {
    return error instanceof UserError && error.exit === EXIT.damaged ? 'refuse' : 'neither';
  }
}
