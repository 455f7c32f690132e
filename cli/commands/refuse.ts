import { HyprError } from '../../base/errors.ts';
import type { Handler } from '../core/command-spec.ts';

/** A command of docker compose that hypr does not have: says why and what else to do. */
export const runRefuse: Handler = async ({ command, path }) => {
  const [reason = '', hint] = (command.refused ?? '').split('; ');
  const name = path.slice(path[1] === 'compose' ? 2 : 1).join(' ');
  throw new HyprError('HYPR_UNSUPPORTED', `hypr ${name} is not supported: ${reason}`, hint ? { hint } : {});
};
