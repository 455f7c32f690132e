import { realpath } from 'node:fs/promises';
import { join, posix, sep } from 'node:path';
import { isErrno } from '../../../base/errors.ts';
import { readNamedFile } from '../../../base/host/read-named.ts';
import { ApiError } from '../http/errors.ts';

const MOST_BYTES = 4 << 20;

/**
 * The text of a file in a folder that a client sent; undefined when there is none. The client's links may lead to files of this host,
 * so only those that stay in the folder are followed. Throws 400 for what leaves it, HYPR_FILE for what is larger than 4 MiB or not a file.
 */
export const readReceived = async (folder: string, name: string, signal: AbortSignal): Promise<string | undefined> => {
  checkName(name);
  try {
    const path = await realpath(join(folder, name));
    if (!path.startsWith((await realpath(folder)) + sep)) {
      throw new ApiError(400, `the link ${name} leads out of the folder that the client sent`);
    }
    return (await readNamedFile(path, { what: 'file of the client', maxBytes: MOST_BYTES, signal })).toString();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      return undefined;
    }
    if (isErrno(error, 'ELOOP', 'EISDIR', 'EACCES', 'ENAMETOOLONG')) {
      throw new ApiError(400, `${name} of the client cannot be read (${error.code})`);
    }
    throw error;
  }
};

/** Throws 400 for a name that is not one of a file below a folder. */
export const checkName = (name: string): void => {
  const clean = posix.normalize(name);
  if (name.includes('\0') || posix.isAbsolute(name) || clean === '..' || clean.startsWith('../')) {
    throw new ApiError(400, `the file name ${JSON.stringify(name.slice(0, 200))} leaves the folder of the client`);
  }
};
