export const root: string;
/** hypr's own Node. */
export const ownNode: string;
/** Throws when this process is another Node. `command` is what starts the same work with hypr's own. */
export function requireOwnNode(command: string): void;
/** What Node is started with to make the code caches. */
export const TRAIN_FLAGS: readonly string[];
