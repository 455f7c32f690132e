import type { CommandSpec } from '../core/command-spec.ts';

/** A command that docker has or that users may expect, but that hypr does not have. `reason` says why, and what to use instead. */
export const refusedCommand = (name: string, summary: string, reason: string): CommandSpec => ({
  name,
  usage: '[ARGS...]',
  summary: `${summary} (not supported)`,
  // Accepts every flag and argument, so that the reason is printed and not a usage error.
  passThrough: true,
  refused: reason,
  load: async () => (await import('../commands/refuse.ts')).runRefuse,
});
