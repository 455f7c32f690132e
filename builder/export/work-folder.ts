import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** A private folder below the build folder's `tmp`, gone when it is disposed of. */
export const openWorkFolder = async (buildFolder: string): Promise<{ readonly path: string } & AsyncDisposable> => {
  const path = join(buildFolder, 'tmp', `export-${process.pid}-${randomBytes(6).toString('hex')}`);
  await mkdir(path, { recursive: true, mode: 0o700 });
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
};
