/** The version of this package, from its package.json. */
import { readFileSync } from 'node:fs';

/** From src/cli and from dist/src/cli. */
const PLACES = ['../../package.json', '../../../package.json'];

export function packageVersion(): string {
  for (const place of PLACES) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8')) as { name?: string; version: string };
      if (name === 'openmoe') return version;
    } catch {
      // not here: try the other place
    }
  }
  return 'unknown';
}
