import type { Images } from '../../builder/images.ts';
import type { Image } from '../../builder/model/types.ts';
import { findZstd } from '../../builder/registry/transport/decompress.ts';
import type { BuildOptions } from '../../builder/solver/frame/build-options.ts';
import type { Toolchain } from '../../vmm/model/tools.ts';

/** What a build needs of the image store and of registries. */
export const buildServices = (
  images: Images,
  toolchain: Pick<Toolchain, 'mkfsErofs'>,
): Pick<BuildOptions, 'store' | 'resolveImage' | 'zstd' | 'registry'> => {
  const zstd = findZstd(toolchain.mkfsErofs);
  return {
    store: images.store,
    resolveImage: async (reference, { pull, platform, signal }) => {
      const options = { policy: pull ? 'always' : 'missing', ...(platform ? { platform } : {}) } as const;
      const [image] = await images.pull([reference], options, () => {}, signal);
      return image as Image;
    },
    registry: {
      push: async (reference, progress, signal) => {
        const [pushed] = await images.push([reference], {}, progress, signal);
        return pushed as NonNullable<typeof pushed>;
      },
      withPushTarget: images.withPushTarget,
      withRepository: images.withRepository,
    },
    ...(zstd === undefined ? {} : { zstd }),
  };
};
