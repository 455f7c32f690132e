import { resolve } from 'node:path';
import { readNamedFile } from '../../base/host/read-named.ts';
import { isRemoteSource } from '../../builder/git/remote-source.ts';
import type { Project, Service } from '../../compose/model/model.ts';
import type { ImagePlatform } from '../model/platform.ts';

const DOCKERFILE = { what: 'Dockerfile', maxBytes: 16 << 20 };

/**
 * What to say of a built image whose Dockerfile has changed since. Undefined where it is the same, where what the image was built from is not
 * known, or where the Dockerfile is no file of this host. Times tell nothing: in a new clone every file is new. Files of the context are
 * not looked at: there may be a million of them.
 */
export const staleImage = async (
  project: Pick<Project, 'workingDir'>,
  { build }: Pick<Service, 'build'>,
  { reference, platform }: { readonly reference: string; readonly platform: Pick<ImagePlatform, 'isBuiltFrom'> },
): Promise<string | undefined> => {
  const context = build?.context ?? '.';
  if (build === undefined || build.dockerfile_inline !== undefined || isRemoteSource(context)) {
    return undefined;
  }
  const path = resolve(project.workingDir, context, build.dockerfile ?? 'Dockerfile');
  const text = await readNamedFile(path, DOCKERFILE).catch(() => undefined);
  return text !== undefined && (await platform.isBuiltFrom(reference, text.toString('utf8'))) === false
    ? `image ${reference} was built before its Dockerfile changed: hypr up --build builds it again`
    : undefined;
};
