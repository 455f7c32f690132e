import { randomBytes } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError, isErrno } from '../../../base/errors.ts';
import { runtimeDir } from '../../../base/paths.ts';

export const tokenPath = (): string => join(runtimeDir(), 'api-token');

/** The token of this user, which is made once and kept in a file that only they can read. Throws HYPR_PERMISSION where others can. */
export const readToken = async (path = tokenPath()): Promise<string> => {
  try {
    const file = await open(path, 'wx', 0o600);
    const token = randomBytes(32).toString('hex');
    try {
      await file.writeFile(`${token}\n`);
    } finally {
      await file.close();
    }
    return token;
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) {
      throw error;
    }
  }
  const { mode, uid } = await stat(path);
  const token = (await readFile(path, 'utf8')).trim();
  if ((mode & 0o077) !== 0 || uid !== process.getuid?.() || token.length < 32) {
    throw new HyprError('HYPR_PERMISSION', `${path} is not a token that only this user can read`, { hint: 'remove it: it is made again' });
  }
  return token;
};
