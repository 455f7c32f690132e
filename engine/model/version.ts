import manifest from '../../package.json' with { type: 'json' };

export const VERSION: string = manifest.version;

/**
 * Counts the changes of the supervisor's API (engine/api/hypr.proto) that a client of the version before would not
 * understand: a field that means something else, or that has to be there now. New fields and methods are none.
 */
export const API_VERSION = 1;
