import { randomBytes } from 'node:crypto';
import { link, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError, isErrno } from '../../../base/errors.ts';
import { exists } from '../../../base/host/files.ts';
import { stagingPathBeside } from '../../../base/host/staging.ts';
import { runtimeDir } from '../../../base/paths.ts';

export const tokenPath = (): string => join(runtimeDir(), 'api-token');

/** The token of this user, which is made once and kept in a file that only they can read. Throws HYPR_PERMISSION where others can. */
export const readToken = async (path = tokenPath()): Promise<string> => {
  if (!(await exists(path))) {
    await makeToken(path);
  }
  const { mode, uid } = await stat(path);
  const token = (await readFile(path, 'utf8')).trim();
  if ((mode & 0o077) !== 0 || uid !== process.getuid?.() || token.length < 32) {
    throw new HyprError('HYPR_PERMISSION', `${path} is not a token that only this user can read`, { hint: 'remove it: it is made again' });
  }
  return token;
};

/** It appears whole: who starts at the same moment, or after a crash, reads a token or makes one. The first to link it is who made it. */
const makeToken = async (path: string): Promise<void> => {
  const staging = await stagingPathBeside(path);
  try {
    await writeFile(staging, `${randomBytes(32).toString('hex')}\n`, { flag: 'wx', mode: 0o600 });
    await link(staging, path);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) {
      throw error;
    }
  } finally {
    await rm(staging, { force: true });
  }
};
