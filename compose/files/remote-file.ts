import type { FetchFile } from '../model/options.ts';
import { errorAt, type Mark } from '../source/source.ts';

/** Whether `-f`, `include` or `extends` names something that is not on this host: an OCI artifact, a git repository, another URL. */
export const isRemoteFile = (text: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(text) || /^(git@|github\.com\/)/.test(text);

/**
 * The local copy of such a file.
 * @throws COMPOSE_INVALID at `mark` where nothing can be fetched, and the errors of the fetch
 */
export const fetchRemoteFile = async (
  text: string,
  options: { fetchFile: FetchFile | undefined; mark: Mark | undefined },
): Promise<string> => {
  if (options.fetchFile === undefined) {
    throw errorAt('COMPOSE_INVALID', `"${text}" is remote, and nothing is fetched here`, {
      mark: options.mark,
      hint: 'clone it and name the local path',
    });
  }
  return options.fetchFile(text);
};
