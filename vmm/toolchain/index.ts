import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { neverAborts } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import { withLock } from '../../base/host/lock.ts';
import { type HomePaths, homePaths } from '../../base/paths.ts';
import { noProgress, type ProgressSink } from '../../base/progress.ts';
import type { Toolchain } from '../model/tools.ts';
import { makeParts } from './make.ts';
import { isReady, type Manifest, readManifest, writeManifest } from './manifest.ts';

export { writeBundle } from './bundle.ts';
export { toolCommand } from './programs.ts';

export interface SetupOptions {
  readonly paths?: HomePaths;
  readonly progress?: ProgressSink;
  readonly signal?: AbortSignal;
  /** Look for newer packages and a newer kernel; otherwise earlier downloads are kept. */
  readonly upgrade?: boolean;
  /** The folder of net/gateway; a parameter, because this floor must not import net. */
  readonly gatewaySources: () => Promise<string>;
  /** A bundle of `writeBundle` to take packages from, instead of Debian's archive. */
  readonly from?: string | undefined;
}

const SETUP_MS = 30 * 60_000;

/**
 * Makes the missing parts of the toolchain in HYPR_HOME/toolchain and records them in one manifest.
 * Parts are staged and renamed, so it can be killed at any moment and called again; with two callers the
 * work is done once. Changes nothing outside HYPR_HOME, needs no root, and no network once everything is there.
 * Throws TOOLCHAIN_MISSING, which says what to install, and TOOLCHAIN_FAILED with the last output of a program.
 */
export const setupToolchain = async (options: SetupOptions): Promise<Toolchain> => {
  const { gatewaySources, paths = homePaths(), progress = noProgress, signal = neverAborts() } = options;
  const onWait = () => progress({ id: 'Toolchain', status: 'working', text: 'Waiting', details: 'another hypr is setting up' });
  return withLock(lockPath(paths), { what: 'the toolchain', timeout: SETUP_MS, signal, onWait }, async () => {
    await mkdir(paths.toolchain, { recursive: true, mode: 0o700 });
    const known = options.upgrade ? undefined : await readManifest(paths);
    const manifest = await makeParts({ paths, progress, signal, known, gatewaySources, from: options.from });
    await writeManifest(paths, manifest);
    return manifest.toolchain;
  });
};

/** The installed toolchain, as its manifest says; undefined if there is none or one of its files is missing. */
export const openToolchain = async (paths: HomePaths = homePaths()): Promise<Toolchain | undefined> => {
  const manifest = await readManifest(paths);
  return manifest !== undefined && (await isReady(manifest)) ? manifest.toolchain : undefined;
};

/** Like openToolchain, but throws an error that says what to do if there is none. */
export const needToolchain = async (paths: HomePaths = homePaths()): Promise<Toolchain> => {
  const toolchain = await openToolchain(paths);
  if (toolchain === undefined) {
    throw new HyprError('TOOLCHAIN_MISSING', 'the programs that run machines are not set up yet', { hint: 'run: hypr setup' });
  }
  return toolchain;
};

/** Removes the parts of earlier toolchains and returns their folders' names. Call it only when no machine runs, because one may use them. */
export const pruneToolchain = async (paths: HomePaths = homePaths(), signal?: AbortSignal): Promise<string[]> => {
  const options = { what: 'the toolchain', ...(signal ? { signal } : {}) };
  return withLock(lockPath(paths), options, async () => {
    const manifest = await readManifest(paths);
    const stale = manifest === undefined ? [] : findStale(await readdir(paths.toolchain), manifest);
    await Promise.all(stale.map((name) => rm(join(paths.toolchain, name), { recursive: true, force: true })));
    return stale;
  });
};

/** Pure: the entries of the toolchain folder that a manifest does not mention. */
export const findStale = (names: readonly string[], manifest: Manifest): string[] => {
  const text = JSON.stringify(manifest);
  return names.filter((name) => /^(prefix|kernel|gvproxy|initramfs)-/.test(name) && !text.includes(`/${name}`));
};

const lockPath = (paths: HomePaths): string => join(paths.locks, 'toolchain.lock');
