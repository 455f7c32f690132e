import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { diskError } from '../../../base/host/files.ts';
import { stagingName, sweepStaging } from '../../../base/host/staging.ts';
import { homePaths, runtimeDir } from '../../../base/paths.ts';

/** Two empty folders of one build, which are removed when they are disposed of. */
export interface BuildFolders extends AsyncDisposable {
  /** For what the client sends: Dockerfile and contexts. In HYPR_HOME, because it may be large. */
  readonly contexts: string;
  /** In the runtime folder, which is usually in memory. */
  readonly secrets: string;
}

/** First removes what killed servers left. Throws DISK_FULL and the errors of mkdir. */
export const openBuildFolders = async (): Promise<BuildFolders> => {
  await sweepBuildFolders();
  const [contexts, secrets] = [join(contextsFolder(), stagingName('context')), join(secretsFolder(), stagingName('secrets'))];
  const remove = async (): Promise<void> => {
    await Promise.all([contexts, secrets].map((path) => rm(path, { recursive: true, force: true, maxRetries: 3 })));
  };
  try {
    for (const path of [contexts, secrets]) {
      await mkdir(path, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
        throw diskError(error, path);
      });
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return { contexts, secrets, [Symbol.asyncDispose]: remove };
};

/** Removes what killed servers left of their builds. The names tell whose they are. */
export const sweepBuildFolders = async (): Promise<void> => {
  await sweepStaging(secretsFolder());
  await sweepStaging(contextsFolder());
};

/** The staging folder of builds, which each build sweeps. */
const contextsFolder = (): string => join(homePaths().build, 'tmp');

/** No stack has such a name. */
const secretsFolder = (): string => join(runtimeDir(), '.build-secrets');
