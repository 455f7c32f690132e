import type { UpOptions } from '../model/types.ts';
import type { DesiredService } from './desired-state.ts';
import type { ObservedReplica } from './observe.ts';

/** Why a replica is replaced by a new one; undefined: it stays. */
export const recreateCause = (
  options: UpOptions,
  service: string,
  wanted: DesiredService,
  replica: ObservedReplica,
): string | undefined => {
  const named = options.services.length === 0 || options.services.includes(service);
  if (options.noRecreate) {
    return undefined;
  }
  if (options.forceRecreate && (named || options.alwaysRecreateDeps)) {
    return 'asked to recreate';
  }
  if (!named && options.alwaysRecreateDeps) {
    return 'asked to recreate dependencies';
  }
  if (replica.configHash !== wanted.configHash) {
    return 'its configuration changed';
  }
  if (replica.imageId !== wanted.imageId) {
    return 'its image changed';
  }
  return undefined;
};
