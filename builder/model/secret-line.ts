import { HyprError, isErrno } from '../../base/errors.ts';
import { isOwnDescriptor, type NamedFile, readNamedFile } from '../../base/host/read-named.ts';
import type { BuildRequest } from './types.ts';

/** The first line of a secret of the build, for a header; undefined when it is not given or empty. Throws BUILD_FAILED. */
export const readSecretLine = async (secrets: BuildRequest['secrets'], id: string): Promise<string | undefined> => {
  const secret = Object.hasOwn(secrets, id) ? secrets[id] : undefined;
  if (secret === undefined) {
    return undefined;
  }
  const text = ('value' in secret ? secret.value : await readFileOf(id, secret.file)).trim();
  return text === '' ? undefined : text.replace(/[\r\n].*/s, '');
};

/** Of docker's size. `--secret src=<(…)` is a pipe of the command's own. */
export const MAX_SECRET = 500 * 1024;
export const secretFile = (file: string): NamedFile => ({ what: 'secret', maxBytes: MAX_SECRET, pipes: isOwnDescriptor(file) });

const readFileOf = async (id: string, file: string): Promise<string> => {
  try {
    return (await readNamedFile(file, secretFile(file))).toString('utf8');
  } catch (error) {
    if (error instanceof HyprError) {
      throw error;
    }
    const reason = isErrno(error, 'ENOENT') ? `there is no file ${file}` : `${file} cannot be read`;
    throw new HyprError('BUILD_FAILED', `secret ${id}: ${reason}`, { cause: error });
  }
};
