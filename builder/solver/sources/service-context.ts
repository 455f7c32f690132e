import { HyprError } from '../../../base/errors.ts';
import { fitsPlatform, parsePlatform } from '../../store/format/platform.ts';
import type { BaseImage, FindServiceImage, ServiceContext } from '../frame/build-context.ts';
import { makeKey } from '../frame/cache.ts';
import type { BuildProgress } from '../frame/progress.ts';
import { type BuildStore, readConfigBlob } from '../frame/store.ts';
import { packageUrl } from './layout-context.ts';

interface Options {
  readonly store: Pick<BuildStore, 'readConfig'>;
  readonly progress: BuildProgress;
  readonly materials: Map<string, string>;
}

/**
 * Named contexts that are images of other services, each once: in the store already, so that no registry is asked, whatever
 * `--pull` says. Throws IMAGE_PLATFORM for an image of another platform, and as readConfig.
 */
export const rememberServiceImages = ({ store, progress, materials }: Options): FindServiceImage => {
  const found = new Map<string, Promise<BaseImage>>();
  return ({ name, service, image }, platform) => {
    const id = `${platform} ${service}`;
    const known = found.get(id);
    if (known !== undefined) {
      return known;
    }
    const base = progress.run(`[context ${name}] load from service:${service}`, async () => {
      checkPlatform({ name, service, image }, platform);
      const blob = readConfigBlob(await store.readConfig(image.id));
      materials.set(packageUrl(name, image.manifestDigest, platform), image.manifestDigest);
      return { image, blob, key: makeKey('image', { layers: blob.rootfs.diff_ids }) };
    });
    found.set(id, base);
    return base;
  };
};

const checkPlatform = ({ name, service, image }: ServiceContext, platform: string): void => {
  if (!fitsPlatform(image.platform, parsePlatform(platform))) {
    throw new HyprError('IMAGE_PLATFORM', `the additional context ${name}: the image of service ${service} is not for ${platform}`, {
      hint: `it is for ${image.platform}: give both services the same platform`,
    });
  }
};
