import manifest from '../../package.json' with { type: 'json' };

export const VERSION: string = manifest.version;

/**
 * Incremented when a change of the supervisor's API (engine/api/hypr.proto) would break a client of the version before:
 * a field that means something else, or that is now required. New fields and methods do not count.
 */
export const API_VERSION = 1;
