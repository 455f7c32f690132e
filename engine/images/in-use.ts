import { homePaths } from '../../base/paths.ts';
import { openStateReader } from '../state/store.ts';

/** Replicas, running or stopped, that use an image: `shop-db-1 (stack shop)`. */
export const findInUse = (imageId: string): string[] => {
  const store = openStateReader(homePaths().database);
  try {
    return store
      .vms()
      .flatMap((vm) =>
        vm.imageId === imageId || vm.spec.mounts.some((mount) => mount.kind === 'image' && mount.imageId === imageId)
          ? [`${vm.name} (stack ${vm.stack})`]
          : [],
      );
  } finally {
    store.close();
  }
};
