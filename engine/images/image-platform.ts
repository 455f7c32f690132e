import type { HomePaths } from '../../base/paths.ts';
import { openImages } from '../../builder/images.ts';
import type { BuildMachines } from '../../builder/model/types.ts';
import { ociDigest } from '../../builder/store/format/digest.ts';
import type { Toolchain } from '../../vmm/model/tools.ts';
import type { ImagePlatform } from '../model/platform.ts';
import { findInUse } from './in-use.ts';

export interface ImagePlatformOptions {
  readonly paths: HomePaths;
  readonly toolchain: Toolchain;
  /** Called when a build starts; no VMM is needed before a machine's `start`. */
  readonly machines: () => Promise<BuildMachines>;
}

/** The part of the platform that makes and keeps images. Starts no machine and looks for no VMM on its own. */
export const openImagePlatform = async ({ paths, toolchain, machines }: ImagePlatformOptions): Promise<ImagePlatform> => {
  const images = await openImages({
    paths,
    toolchain,
    inUse: findInUse,
    keepLayers: async () => [...(await (await import('../../builder/build.ts')).listCachedLayers(paths.build)).keys()],
  });
  return {
    findImage: (name) => images.store.get(name),
    isBuiltFrom: async (reference, dockerfile) => {
      const digest = await images.store.dockerfileOf(reference);
      return digest === undefined ? undefined : digest === ociDigest(dockerfile);
    },
    rootDisk: (image) => images.store.rootDisk(image.id),
    pullImage: async (reference, { policy, platform: wanted }, progress, signal) => {
      const [image] = await images.pull([reference], { policy, ...(wanted ? { platform: wanted } : {}) }, progress, signal);
      return image as NonNullable<typeof image>;
    },
    buildImage: async (input, onEvent, signal) => {
      // Loaded only for builds: the supervisor compiles everything it imports at its start.
      const { buildServiceImage } = await import('./build-service-image.ts');
      return buildServiceImage({ input, images, toolchain, machines: await machines(), paths, onEvent, signal });
    },
    removeImage: async (name) => {
      await images.remove([name], { force: false });
    },
  };
};
