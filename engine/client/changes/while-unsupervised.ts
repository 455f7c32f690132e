import { HyprError } from '../../../base/errors.ts';
import { withLock } from '../../../base/host/lock.ts';
import { stackPaths } from '../../model/stack-paths.ts';

/** How long a supervisor may take to end that has something to do, as far as the database says. */
const BUSY_MS = 3_000;
/** The same of one that has nothing to do, and ends by itself as soon as a loaded host lets it. */
const IDLE_MS = 30_000;

/** Work on the rows of a stack, which are its supervisor's while that runs. Throws `refusal` when it does. `runs`: whether something of the stack does. */
export const whileUnsupervised = async (
  { stack, runs }: { readonly stack: string; readonly runs: boolean },
  refusal: () => HyprError,
  work: () => Promise<void>,
): Promise<void> => {
  try {
    await withLock(stackPaths(stack).lock, { what: `the stack ${stack}`, timeout: runs ? BUSY_MS : IDLE_MS }, work);
  } catch (error) {
    throw error instanceof HyprError && error.code === 'HYPR_LOCKED' ? refusal() : error;
  }
};
