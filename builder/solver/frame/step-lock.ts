import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { withLock } from '../../../base/host/lock.ts';
import type { BuildContext } from './build-context.ts';
import type { CacheRecord } from './cache.ts';
import type { Vertex } from './progress.ts';

const LOCK_TIMEOUT = 24 * 3_600_000;

const lockOptions = (onWait: (() => void) | undefined) => ({
  what: 'this build step',
  timeout: LOCK_TIMEOUT,
  ...(onWait === undefined ? {} : { onWait }),
});

/**
 * Takes a step from the cache or does it with `work`, once: builds and stages that need the same step wait for each other, also
 * across processes, and the later ones find it in the cache. `find` is called again when it is this caller's turn. The caller
 * must not hold a machine slot.
 */
export const runOnce = async (
  build: Pick<BuildContext, 'buildFolder' | 'signal'>,
  vertex: Pick<Vertex, 'cached'>,
  step: {
    readonly key: string;
    readonly find: () => Promise<CacheRecord | undefined>;
    readonly work: () => Promise<CacheRecord>;
    /** Called before waiting for another stage or build. */
    readonly onWait?: () => void;
  },
): Promise<CacheRecord> => {
  const found = await step.find();
  if (found !== undefined) {
    vertex.cached();
    return found;
  }
  const lock = join(build.buildFolder, 'locks', createHash('sha256').update(step.key).digest('hex').slice(0, 32));
  return await withLock(lock, { ...lockOptions(step.onWait), signal: build.signal }, async () => {
    const foundMeanwhile = await step.find();
    if (foundMeanwhile !== undefined) {
      vertex.cached();
      return foundMeanwhile;
    }
    return await step.work();
  });
};
