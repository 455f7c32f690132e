import type { CommandSpec } from '../core/command-spec.ts';

/** A command of docker's, or one that somebody may look for, that hypr does not have. `reason`: why; what there is instead. */
export const refusedCommand = (name: string, summary: string, reason: string): CommandSpec => ({
  name,
  usage: '[ARGS...]',
  summary: `${summary} (not supported)`,
  // Every flag and argument is taken, so that the reason is said and not a usage error.
  passThrough: true,
  refused: reason,
  load: async () => (await import('../commands/refuse.ts')).runRefuse,
});
