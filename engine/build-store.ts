import type { BuildStore, ImageConfigBlob } from '../builder/build.ts';
import type { ImageStore } from '../builder/store/store.ts';

/** The image store as a build sees it. */
export const buildStore = (store: ImageStore): BuildStore => ({
  addLayer: (tar, signal) => store.addLayer(tar, signal ? { signal } : {}),
  hasLayer: async (diffId) => (await store.hasLayer(diffId)) !== undefined,
  layerTar: async (diffId) => store.layerTar(diffId),
  rootDisk: (layers, signal) => store.rootDisk(layers, signal),
  readConfig: async (image) => JSON.parse((await store.readConfig(image.id)).toString('utf8')) as ImageConfigBlob,
  addImage: (image) => store.addImage(image),
});
