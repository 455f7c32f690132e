import { rm } from 'node:fs/promises';
import { HyprError } from '../../../base/errors.ts';
import { withLock } from '../../../base/host/lock.ts';
import type { BuildContext } from '../frame/build-context.ts';
import type { PreparedMount } from './run-mounts.ts';

const LOCK_TIMEOUT = 24 * 3_600_000;
const MAX_PRIVATE = 64;

/** Cache file that the mounts name → the file that this step has locked. */
export type HeldCaches = ReadonlyMap<string, string>;

/**
 * Locks the caches of a step while `work` runs, also against other processes. A cache is a disk that one machine can have at a
 * time: steps that share one (`shared`, `locked`) use it one after the other, `private` takes another copy that is free.
 * Locks are always taken in the same order, so that steps cannot deadlock.
 */
export const withCaches = async <T>(
  build: BuildContext,
  step: { readonly mounts: readonly PreparedMount[]; readonly noCache: boolean; readonly onWait: () => void },
  work: (held: HeldCaches) => Promise<T>,
): Promise<T> => {
  const caches = new Map<string, { isPrivate: boolean; hasBeginning: boolean }>();
  for (const { mount, cache } of step.mounts) {
    if (cache !== undefined) {
      const isPrivate = mount.sharing === 'private' && (caches.get(cache.file)?.isPrivate ?? true);
      caches.set(cache.file, { isPrivate, hasBeginning: cache.hasBeginning });
    }
  }
  const held = new Map<string, string>();
  const take = async (rest: ReadonlyArray<[string, { isPrivate: boolean; hasBeginning: boolean }]>): Promise<T> => {
    const [first, ...others] = rest;
    if (first === undefined) {
      return await work(held);
    }
    const [file, { isPrivate, hasBeginning }] = first;
    return await (isPrivate ? withFree : withOne)({ build, file, onWait: step.onWait }, async (own) => {
      held.set(file, own);
      if (step.noCache && hasBeginning && !build.renewedCaches.has(own)) {
        await rm(own, { force: true });
      }
      build.renewedCaches.add(own);
      return await take(others);
    });
  };
  return await take([...caches].sort(([a], [b]) => (a < b ? -1 : 1)));
};

interface Cache {
  readonly build: BuildContext;
  readonly file: string;
  readonly onWait: () => void;
}

const withOne = <T>({ build, file, onWait }: Cache, work: (file: string) => Promise<T>): Promise<T> =>
  withLock(`${file}.lock`, { what: 'a cache mount', timeout: LOCK_TIMEOUT, signal: build.signal, onWait }, () => work(file));

/** The first copy that is not locked. */
const withFree = async <T>(cache: Cache, work: (file: string) => Promise<T>): Promise<T> => {
  const { build, file } = cache;
  for (let index = 0; index < MAX_PRIVATE; index++) {
    const own = index === 0 ? file : file.replace(/\.ext4$/, `-${index}.ext4`);
    const state = { started: false };
    try {
      return await withLock(`${own}.lock`, { what: 'a cache mount', timeout: 0, signal: build.signal }, () => {
        state.started = true;
        return work(own);
      });
    } catch (error) {
      if (state.started || !(error instanceof HyprError) || error.code !== 'HYPR_LOCKED') {
        throw error;
      }
    }
  }
  return await withOne(cache, work);
};
