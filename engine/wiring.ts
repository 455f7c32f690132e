import { cpus } from 'node:os';
import { homePaths } from '../base/paths.ts';
import { openImages } from '../builder/images.ts';
import { connectGuest } from '../guest/client.ts';
import { adoptNetwork, startNetwork, sweepNetwork } from '../net/gvproxy.ts';
import { checkPorts } from '../net/ports.ts';
import { publishPort } from '../net/publish.ts';
import { chooseVmm } from '../vmm/probe.ts';
import { needToolchain } from '../vmm/toolchain/index.ts';
import { makeExt4Disk } from './disks.ts';
import { findInUse } from './in-use.ts';
import type { Platform } from './platform.ts';

/** The real platform: this host's toolchain, VMM, networks and image store. Throws TOOLCHAIN_MISSING before `hypr setup`. */
export const openPlatform = async (options: { runDir: string }): Promise<Platform> => {
  const paths = homePaths();
  const toolchain = await needToolchain(paths);
  const [{ vmm }, images] = await Promise.all([
    chooseVmm({ toolchain, paths }),
    openImages({
      paths,
      toolchain,
      inUse: findInUse,
      keepLayers: async () => [...(await (await import('../builder/build.ts')).listCachedLayers(paths.build))],
    }),
  ]);
  const programs = { gvproxy: toolchain.gvproxy, jail: toolchain.jail };
  const platform: Platform = {
    paths,
    runDir: options.runDir,
    vmm,
    cores: cpus().length,
    connectGuest,
    startNetwork: (spec, signal) => startNetwork(spec, programs, signal),
    adoptNetwork: (record, signal) => adoptNetwork(record, programs, signal),
    sweepNetwork,
    checkPorts,
    publish: publishPort,
    findImage: (name) => images.store.get(name),
    rootDisk: (image) => images.store.rootDisk(image.id),
    pullImage: async (reference, { policy, platform: wanted }, progress, signal) => {
      const [image] = await images.pull([reference], { policy, ...(wanted ? { platform: wanted } : {}) }, progress, signal);
      return image as NonNullable<typeof image>;
    },
    buildImage: async (input, onEvent, signal) => {
      // Loaded by those who build: a start of the supervisor compiles all it imports.
      const { buildServiceImage } = await import('./build-service-image.ts');
      return buildServiceImage({ input, images, toolchain, platform, onEvent, signal });
    },
    removeImage: async (name) => {
      await images.remove([name], { force: false });
    },
    makeDisk: ({ path, sizeMib, label, signal }) => makeExt4Disk({ path, sizeMib, label, mkfs: toolchain.mkfsExt4, signal }),
  };
  return platform;
};
