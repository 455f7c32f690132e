import { HyprError } from '../../base/errors.ts';
import type { Handler } from '../spec/types.ts';

/** A command of docker compose that hypr does not have: says why and what else to do. */
export const runRefuse: Handler = async ({ command }) => {
  const [reason = '', hint] = (command.refused ?? '').split('; ');
  throw new HyprError('HYPR_UNSUPPORTED', `hypr ${command.name} is not supported: ${reason}`, hint ? { hint } : {});
};
