import { join } from 'node:path';
import { findDeadLocks, sweepLocks } from '../../../base/host/lock.ts';
import { findStaleStaging, sweepStaging } from '../../../base/host/staging.ts';
import { describeLeftovers } from '../../store/sweep.ts';

/** The staging folder of builds, also for files that only one build needs. */
export const buildStagingFolder = (buildFolder: string): string => join(buildFolder, 'tmp');

const WITH_LOCKS = ['locks', 'mounts'];

/** Removes what killed builds left: unpacked archives, half downloads, locks. */
export const sweepBuildFolder = async (buildFolder: string): Promise<void> => {
  await sweepStaging(buildStagingFolder(buildFolder));
  for (const folder of WITH_LOCKS) {
    await sweepLocks(join(buildFolder, folder));
  }
};

/** What sweepBuildFolder would remove, one line each. */
export const findBuildLeftovers = async (buildFolder: string): Promise<string[]> => {
  const locks = await Promise.all(WITH_LOCKS.map((folder) => findDeadLocks(join(buildFolder, folder))));
  return describeLeftovers([...(await findStaleStaging(buildStagingFolder(buildFolder))), ...locks.flat()]);
};
