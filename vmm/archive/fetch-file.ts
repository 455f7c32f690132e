import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HyprError, isErrno, messageOf } from '../../base/errors.ts';
import { diskError } from '../../base/host/files.ts';
import type { Mirror } from './mirror.ts';
import type { IndexFile } from './release.ts';

export interface Fetching {
  readonly mirror: Mirror;
  readonly signal: AbortSignal;
  /** Called with the number of bytes that have come since the last call; negative when they have to come again. */
  readonly onBytes?: (bytes: number) => void;
}

const TRIES = 5;

/**
 * Fetches a file to `target`, unless it is there with the wanted digest; `paths` are tried in order. What came of it stays in
 * `target.part` and is continued, in this call and in later ones. Returns false if the mirror has no such file. Throws TOOLCHAIN_FAILED
 * when its content is another, or after several attempts.
 */
export const fetchFile = async (paths: readonly string[], target: string, wanted: IndexFile, fetching: Fetching): Promise<boolean> => {
  if ((await sizeOf(target)) === wanted.bytes && (await digestOf(target)) === wanted.sha256) {
    fetching.onBytes?.(wanted.bytes);
    return true;
  }
  await mkdir(dirname(target), { recursive: true, mode: 0o700 });
  const part = `${target}.part`;
  for (const path of paths) {
    if (await fetchPart(path, part, wanted, fetching)) {
      await rename(part, target);
      return true;
    }
  }
  return false;
};

const fetchPart = async (path: string, part: string, wanted: IndexFile, fetching: Fetching): Promise<boolean> => {
  for (let attempt = 1; ; attempt++) {
    try {
      const outcome = await continuePart(path, part, wanted, fetching);
      if (outcome !== 'damaged') {
        return outcome === 'complete';
      }
      throw new HyprError('TOOLCHAIN_FAILED', `${fetching.mirror.place}: ${path} is not what the signed index says`, {
        hint: fetching.mirror.isRemote
          ? 'try again, or use another mirror: HYPR_DEBIAN_MIRROR'
          : 'copy the bundle again, or make it anew: hypr setup --bundle FILE',
      });
    } catch (error) {
      fetching.signal.throwIfAborted();
      if (attempt === TRIES || !fetching.mirror.isRemote || isErrno(error, 'ENOSPC', 'EDQUOT', 'EACCES', 'EROFS')) {
        throw error instanceof HyprError ? error : unreachable(fetching.mirror, path, diskError(error, part));
      }
      await sleep(500 * 2 ** attempt, undefined, { signal: fetching.signal });
    }
  }
};

const unreachable = (mirror: Mirror, path: string, error: unknown): unknown =>
  error instanceof HyprError
    ? error
    : new HyprError('TOOLCHAIN_FAILED', `${path} cannot be fetched from ${mirror.place}: ${messageOf(error)}`, {
        hint: 'check the network and the proxy (HTTP_PROXY), or use another mirror: HYPR_DEBIAN_MIRROR',
        cause: error,
      });

/** One attempt; a damaged part is removed, so that the next attempt begins anew. */
const continuePart = async (path: string, part: string, wanted: IndexFile, fetching: Fetching) => {
  const { mirror, signal, onBytes } = fetching;
  const had = await sizeOf(part);
  const answer = had === wanted.bytes ? { begin: had, body: [] } : await mirror.read(path, had ?? 0, signal);
  if (answer === undefined) {
    return 'missing' as const;
  }
  onBytes?.(answer.begin);
  let size = answer.begin;
  const file = await open(part, answer.begin === 0 ? 'w' : 'a', 0o600);
  try {
    for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      onBytes?.(chunk.length);
      if (size > wanted.bytes) {
        break;
      }
      await file.write(chunk);
    }
    await file.sync();
  } catch (error) {
    onBytes?.(-size);
    throw error;
  } finally {
    await file.close();
  }
  if (size === wanted.bytes && (await digestOf(part)) === wanted.sha256) {
    return 'complete' as const;
  }
  onBytes?.(-size);
  // What is too short is continued; anything else is not this file.
  if (size >= wanted.bytes) {
    await rm(part, { force: true });
    return 'damaged' as const;
  }
  throw new HyprError('TOOLCHAIN_FAILED', `${mirror.place}: ${path} ended after ${size} of ${wanted.bytes} bytes`);
};

const sizeOf = async (path: string): Promise<number | undefined> => {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return undefined;
    }
    throw error;
  }
};

const digestOf = async (path: string): Promise<string> => {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) {
    hash.update(chunk as Buffer);
  }
  return hash.digest('hex');
};
