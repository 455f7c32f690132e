import type { ObservedReplica } from './observe.ts';

/** The replicas of a service that stay or are replaced in place, and those that its scale has no room for. */
export const keptReplicas = (
  existing: readonly ObservedReplica[],
  scale: number,
  isStale: (replica: ObservedReplica) => boolean,
): { readonly kept: readonly ObservedReplica[]; readonly surplus: readonly ObservedReplica[] } => {
  if (existing.length <= scale) {
    return { kept: existing, surplus: [] };
  }
  // What is up to date stays rather than what would be replaced.
  const inOrder = [...existing].sort((a, b) => Number(isStale(a)) - Number(isStale(b)));
  return { kept: inOrder.slice(0, scale), surplus: inOrder.slice(scale) };
};
