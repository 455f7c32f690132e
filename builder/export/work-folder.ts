import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { diskError } from '../../base/host/files.ts';
import { stagingName } from '../../base/host/staging.ts';
import { buildStagingFolder } from '../solver/layer/sweep.ts';

/** A private folder below the build folder's `tmp`, removed when it is disposed of. */
export const openWorkFolder = async (buildFolder: string): Promise<{ readonly path: string } & AsyncDisposable> => {
  const path = join(buildStagingFolder(buildFolder), stagingName('export'));
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw diskError(error, path);
  });
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
};
