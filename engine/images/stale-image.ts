import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isRemoteSource } from '../../builder/git/remote-source.ts';
import type { Project, Service } from '../../compose/model/model.ts';
import type { ImagePlatform } from '../model/platform.ts';

/**
 * What to say of a built image whose Dockerfile was written after it got its name, as every build of it gives it. Undefined where it is
 * younger, or where the Dockerfile is no file of this host. Files of the context are not looked at: there may be a million of them.
 */
export const staleImage = async (
  project: Pick<Project, 'workingDir'>,
  { build }: Pick<Service, 'build'>,
  { reference, platform }: { readonly reference: string; readonly platform: Pick<ImagePlatform, 'imageNamedAt'> },
): Promise<string | undefined> => {
  const context = build?.context ?? '.';
  if (build === undefined || build.dockerfile_inline !== undefined || isRemoteSource(context)) {
    return undefined;
  }
  const path = join(resolve(project.workingDir, context), build.dockerfile ?? 'Dockerfile');
  const [written, named] = await Promise.all([stat(path).catch(() => undefined), platform.imageNamedAt(reference)]);
  return written === undefined || named === undefined || written.mtimeMs <= named
    ? undefined
    : `image ${reference} is older than its Dockerfile: hypr up --build builds it again`;
};
