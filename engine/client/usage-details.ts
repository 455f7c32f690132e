import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { diskUsage } from '../../base/host/disk-usage.ts';
import { listFolder } from '../../base/host/files.ts';
import { type HomePaths, homePaths } from '../../base/paths.ts';
import { listCachedLayers } from '../../builder/build.ts';
import type { LayerUsage } from '../../builder/store/layer-usage.ts';
import { openImageStore } from '../../builder/store/store.ts';
import { needToolchain } from '../../vmm/toolchain/index.ts';
import { findInUse } from '../images/in-use.ts';
import type { BuildUsage, UsageDetails } from '../model/object-types.ts';
import { openObjects } from './objects.ts';

/** What each image, machine, volume and piece of the build cache takes. Reads only. */
export const measureDetails = async (): Promise<UsageDetails> => {
  const paths = homePaths();
  const store = await openImageStore({ root: paths.images, toolchain: await needToolchain(paths), inUse: findInUse });
  const [images, layers, objects] = [await store.list(), await store.layerUsage(), openObjects(paths)];
  const bytes = new Map(layers.map((layer) => [layer.diffId, layer.bytes]));
  const owners = new Map<string, number>();
  for (const diffId of images.flatMap((image) => [...new Set(image.layers)])) {
    owners.set(diffId, (owners.get(diffId) ?? 0) + 1);
  }
  const sum = (diffIds: readonly string[]): number => [...new Set(diffIds)].reduce((total, diffId) => total + (bytes.get(diffId) ?? 0), 0);
  const replicas = objects.replicas();
  return {
    images: images.map((image) => ({
      image,
      size: sum(image.layers),
      shared: sum(image.layers.filter((diffId) => (owners.get(diffId) ?? 0) > 1)),
      containers: replicas.filter(({ status }) => status.imageId === image.id).length,
    })),
    containers: await Promise.all(
      replicas.map(async (replica) => ({ replica, size: await diskUsage(join(paths.machines, replica.stack, replica.status.name)) })),
    ),
    volumes: await Promise.all(
      objects.volumes().map(async ({ name, path, users }) => ({ name, links: users.length, size: await diskUsage(path) })),
    ),
    builds: [
      ...(await onlyCached(
        paths,
        layers.filter(({ diffId }) => !owners.has(diffId)),
      )),
      ...(await cacheMounts(paths)),
    ],
  };
};

const onlyCached = async (paths: HomePaths, layers: readonly LayerUsage[]): Promise<BuildUsage[]> => {
  const created = await listCachedLayers(paths.build);
  return layers.map(({ diffId, bytes, used }) => {
    return { id: diffId.replace(/^sha256:/, ''), type: 'regular', size: bytes, created: created.get(diffId), used };
  });
};

const cacheMounts = async ({ build }: HomePaths): Promise<BuildUsage[]> => {
  const folder = join(build, 'mounts');
  const disks = (await listFolder(folder)).filter((name) => name.endsWith('.ext4'));
  const found = await Promise.all(
    disks.map(async (name): Promise<BuildUsage[]> => {
      const path = join(folder, name);
      const info = await stat(path).catch(() => undefined);
      return info === undefined
        ? []
        : [
            {
              id: name.replace(/\.ext4$/, ''),
              type: 'exec.cachemount',
              size: await diskUsage(path),
              created: info.birthtimeMs,
              used: info.mtimeMs,
            },
          ];
    }),
  );
  return found.flat();
};
