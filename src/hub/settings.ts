/** Where the hub and its cache are, by the environment variables that all tools of the hub read. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly token: string | undefined;
  /** The folder that holds `models--org--name`. */
  readonly cache: string;
  /** Nothing is asked of the network. */
  readonly offline: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** HF_ENDPOINT, HF_TOKEN (or the file that a login left), HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, HF_HUB_OFFLINE; empty ones do not count. */
export function hubSettings(env: Environment): HubSettings {
  const home = env['HF_HOME'] || join(env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache'), 'huggingface');
  return {
    endpoint: (env['HF_ENDPOINT'] || 'https://huggingface.co').replace(/\/+$/, ''),
    token: env['HF_TOKEN'] || savedToken(env['HF_TOKEN_PATH'] || join(home, 'token')),
    cache: resolve(env['HF_HUB_CACHE'] || join(home, 'hub')),
    offline: /^(1|true|yes|on)$/i.test(env['HF_HUB_OFFLINE'] ?? ''),
  };
}

function savedToken(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim() || undefined;
  } catch {
    return undefined; // no login is the usual case
  }
}
