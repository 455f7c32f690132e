import manifest from '../../package.json' with { type: 'json' };

export const VERSION: string = manifest.version;

/**
 * Incremented when a change of the supervisor's API (engine/api/hypr.proto) would break a client of the version before:
 * a field that means something else, or that is now required. New fields and methods do not count.
 */
export const API_VERSION = 1;

/** The docker whose commands and options hypr follows, and the newest version of the Engine API that `hypr serve` speaks. */
export const DOCKER_VERSION = '28.5.2';
export const DOCKER_API_VERSION = '1.51';
