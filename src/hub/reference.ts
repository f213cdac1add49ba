/** `hf:org/name[@revision]`, the name of a model on the hub. */
import { EXIT, UserError } from '../base/index.ts';

export interface HubReference {
  /** `org/name`. */
  readonly repository: string;
  /** Branch, tag or commit. */
  readonly revision: string;
}

const PREFIX = 'hf:';
// What the hub allows in names: letters, digits, -, _ and . between them. A name becomes part of a path: no dots in a row.
const PART = String.raw`(?!.*\.\.)[\w](?:[\w.-]{0,94}[\w])?`;
const REPOSITORY = new RegExp(`^${PART}/${PART}$`);
const REVISION = /^(?!.*\.\.)(?!.*\/\/)[\w](?:[\w./-]{0,198}[\w])?$/;

export const isHubReference = (text: string): boolean => text.startsWith(PREFIX);

/** Throws UserError E_HUB_REFERENCE (usage). */
export function parseHubReference(text: string): HubReference {
  const [repository = '', ...rest] = text.slice(PREFIX.length).split('@');
  const revision = rest.length > 0 ? rest.join('@') : 'main';
  if (!isHubReference(text) || !REPOSITORY.test(repository) || !REVISION.test(revision))
    throw new UserError('E_HUB_REFERENCE', EXIT.usage, {
      message: `"${text}" does not name a model on the hub`,
      hint: 'write hf:organization/name or hf:organization/name@revision',
    });
  return { repository, revision };
}
