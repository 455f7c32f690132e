import { isRemoteSource } from '../../git/remote-source.ts';
import type { BuildRequest } from '../../model/types.ts';
import { readDockerfile } from './inputs.ts';
import { openRemoteContext, readRemoteDockerfile } from './remote-context.ts';

/** Where a context that is no folder is fetched to, when only its Dockerfile is looked at. */
export interface LookOptions {
  readonly buildFolder: string;
  readonly signal: AbortSignal;
}

export interface Definition {
  readonly text: string;
  /** As errors show it. */
  readonly file: string;
  /** Base name. */
  readonly name: string;
}

/**
 * The Dockerfile of a request without a build: of a folder, or out of a repository, a URL or standard input, of which nothing stays
 * but what a build would keep, too. Throws DOCKERFILE_NOT_FOUND, and as openRemoteContext.
 */
export const readDefinition = async (request: BuildRequest, options: LookOptions): Promise<Definition> => {
  if ('text' in request.dockerfile || !isRemoteSource(request.context)) {
    return await readDockerfile(request);
  }
  const remote = await openRemoteContext(request.context, { request, ...options });
  try {
    const { text, name } = await readRemoteDockerfile(remote, request.dockerfile);
    return { text, file: name, name };
  } finally {
    await remote.close();
  }
};
