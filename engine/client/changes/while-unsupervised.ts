import { HyprError } from '../../../base/errors.ts';
import { withLock } from '../../../base/host/lock.ts';
import { stackPaths } from '../../model/stack-paths.ts';

/** How long a supervisor that has nothing left to do may take to end. */
const SUPERVISOR_ENDS_MS = 3_000;

/** Work on the rows of a stack, which are its supervisor's while that runs. Throws `refusal` when it does. */
export const whileUnsupervised = async (stack: string, refusal: () => HyprError, work: () => Promise<void>): Promise<void> => {
  try {
    await withLock(stackPaths(stack).lock, { what: `the stack ${stack}`, timeout: SUPERVISOR_ENDS_MS }, work);
  } catch (error) {
    throw error instanceof HyprError && error.code === 'HYPR_LOCKED' ? refusal() : error;
  }
};
