import { orAbort } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import type { GuestClient } from '../../guest/types.ts';
import type { Replica } from '../replica/replica.ts';
import type { Operations } from './operations/operation-queue.ts';

/** The files of a replica that does not run; closing them writes what was changed. */
export interface FilesAtRest extends AsyncDisposable {
  readonly guest: GuestClient;
  /** Aborts when an operation that takes the stack down does not wait for them. */
  readonly signal: AbortSignal;
}

/**
 * Opens the files of a replica that does not run. They are an operation of its stack until they are closed, so that it is not started
 * meanwhile. Throws STACK_NOT_RUNNING when it is between running and not.
 */
export const openFilesAtRest = async (
  operations: Operations,
  replica: Replica,
  options: { readonly volumes: boolean },
  signal: AbortSignal,
): Promise<FilesAtRest> => {
  const opened = Promise.withResolvers<FilesAtRest>();
  const closed = Promise.withResolvers<void>();
  const operation = operations.run({ name: 'copy', kind: 'up', signal }, async (running) => {
    if (!replica.isAtRest) {
      throw new HyprError('STACK_NOT_RUNNING', `${replica.row.name} is ${replica.row.state}: its files cannot be read or written now`);
    }
    await using machine = await replica.bootAtRest(options, running);
    opened.resolve({
      guest: machine.guest,
      signal: running,
      async [Symbol.asyncDispose]() {
        closed.resolve();
        await operation;
      },
    });
    await orAbort(closed.promise, running);
  });
  operation.catch(opened.reject);
  return opened.promise;
};
