import { HyprError } from '../../../base/errors.ts';
import { logger } from '../../../base/log.ts';
import { CONTEXT_CHANGED } from '../../context/context-errors.ts';
import type { BuildContext } from '../frame/build-context.ts';

const log = logger('build');
const ATTEMPTS = 3;

/**
 * Does a step again, from its hashes on, when files of a context changed under it. What has changed is copied before it is used
 * then, the last time everything, so that files that always change, such as logs, do not fail a build.
 */
export const withSteadyFiles = async <T>(build: BuildContext, step: () => Promise<T>): Promise<T> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await step();
    } catch (error) {
      const isChange = error instanceof HyprError && error.reason === CONTEXT_CHANGED;
      if (!isChange || attempt === ATTEMPTS || build.signal.aborted) {
        throw error;
      }
      log.debug('a step begins again', { reason: error.message });
      build.renewContexts(attempt === ATTEMPTS - 1);
    }
  }
};
