import { HyprError } from '../../base/errors.ts';
import { homePaths } from '../../base/paths.ts';
import { isGitContext } from '../../builder/git/git-url.ts';
import type { FetchFileOptions } from '../model/artifact.ts';
import { fetchGit } from './fetch-git.ts';
import { fetchOci } from './fetch-oci.ts';
import { fetchedFolder, touchFetched } from './prune-fetched.ts';

/**
 * Gets a Compose file that is not on this host, with what comes with it: `oci://REGISTRY/REPOSITORY[:TAG]`, or a git repository in
 * BuildKit's forms (`https://host/repository.git#REF:PATH`, where PATH is a file or a folder with a Compose file). Asks the server each
 * time what the reference stands for; the content is kept by its digest in `HYPR_HOME/cache/compose`. Returns the path of the file.
 * Throws HYPR_UNSUPPORTED, COMPOSE_INVALID, COMPOSE_NOT_FOUND, REGISTRY_…, BUILD_FAILED (git).
 */
export const fetchComposeFile = async (reference: string, options: FetchFileOptions): Promise<string> => {
  const paths = homePaths();
  const file = await fetchKind(reference, options);
  await touchFetched(paths.cache, file);
  return file;
};

const fetchKind = async (reference: string, options: FetchFileOptions): Promise<string> => {
  const paths = homePaths();
  const cache = fetchedFolder(paths.cache);
  if (reference.startsWith('oci://')) {
    refuseIfOff(reference, 'COMPOSE_EXPERIMENTAL_OCI_REMOTE', options.env);
    return fetchOci(reference, { home: paths.home, cache, insecure: options.insecure, signal: options.signal });
  }
  if (isGitContext(reference)) {
    refuseIfOff(reference, 'COMPOSE_EXPERIMENTAL_GIT_REMOTE', options.env);
    return fetchGit(reference, { buildFolder: paths.build, cache, signal: options.signal });
  }
  throw new HyprError('HYPR_UNSUPPORTED', `Compose files are not fetched from ${reference}`, {
    hint: 'name a git repository (https://host/repository.git#ref:folder), an OCI artifact (oci://registry/repository) or a local file',
  });
};

/** docker compose's switches, on unless they say no. */
const refuseIfOff = (reference: string, name: string, env: FetchFileOptions['env']): void => {
  if (/^(0|f|false)$/i.test(env[name] ?? '')) {
    throw new HyprError('HYPR_UNSUPPORTED', `${reference} is remote, and ${name} forbids it`, { hint: `unset ${name}` });
  }
};
