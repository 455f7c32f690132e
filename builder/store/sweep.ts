import { join } from 'node:path';
import { findDeadLocks, sweepLocks } from '../../base/host/lock.ts';
import { findStaleStaging, sweepStaging } from '../../base/host/staging.ts';

const STAGING_FOLDERS = ['tmp', 'leases'];

/** Removes what killed processes left behind: partial layers and files, leases, locks. */
export const sweepStore = async (root: string): Promise<void> => {
  for (const folder of STAGING_FOLDERS) {
    await sweepStaging(join(root, folder));
  }
  await sweepLocks(join(root, 'locks'));
};

/** What sweepStore would remove, one line each. */
export const findLeftovers = async (root: string): Promise<string[]> => {
  const staged = await Promise.all(STAGING_FOLDERS.map((folder) => findStaleStaging(join(root, folder))));
  return describeLeftovers([...staged.flat(), ...(await findDeadLocks(join(root, 'locks')))]);
};

export const describeLeftovers = (found: ReadonlyArray<{ readonly path: string; readonly pid: number | undefined }>): string[] =>
  found.map(({ path, pid }) => `${path}: left by ${pid === undefined ? 'an older hypr' : `pid ${pid}`}, removed at the next run`);
