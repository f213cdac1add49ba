/** hub: files of a model hub on this disk, in the cache that other tools share. Must not know what the files mean. */
export { isHubReference, type HubReference, parseHubReference } from './reference.ts';
export { hubSettings, type HubSettings } from './settings.ts';
export { cachedModels, type CachedModel, locate } from './cache.ts';
export { pull, type Pulled, type PullOptions, type PullProgress } from './pull.ts';
