import { HyprError } from '../../base/errors.ts';
import type { Flags } from './flags.ts';

/** `--parallel`, else COMPOSE_PARALLEL_LIMIT: how many images are built or pulled at a time. Throws HYPR_USAGE. */
export const parallelLimit = (flags: Flags, env: NodeJS.ProcessEnv): { parallel?: number } => {
  const set = env.COMPOSE_PARALLEL_LIMIT || undefined;
  const asked = flags.int('parallel');
  if (asked === undefined && set !== undefined && !/^[-+]?\d{1,9}$/.test(set)) {
    throw new HyprError('HYPR_USAGE', `COMPOSE_PARALLEL_LIMIT must be an integer (found: ${JSON.stringify(set)})`);
  }
  const parallel = asked ?? (set === undefined ? undefined : Number(set));
  return parallel === undefined ? {} : { parallel };
};
