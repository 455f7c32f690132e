import { cpus } from 'node:os';
import { homePaths } from '../base/paths.ts';
import { connectGuest } from '../guest/client/client.ts';
import { adoptNetwork, startNetwork, sweepNetwork } from '../net/client/network.ts';
import { checkPorts } from '../net/ports/check-ports.ts';
import { publishPort } from '../net/ports/publish.ts';
import { makeExt4Disk, settleExt4Disk } from '../vmm/devices/disks.ts';
import { chooseVmm } from '../vmm/host/probe.ts';
import { needToolchain } from '../vmm/toolchain/index.ts';
import { openImagePlatform } from './images/image-platform.ts';
import type { Platform } from './model/platform.ts';

/** The real platform: this host's toolchain, VMM, networks and image store. Throws TOOLCHAIN_MISSING before `hypr setup`. */
export const openPlatform = async (options: { runDir: string }): Promise<Platform> => {
  const paths = homePaths();
  const toolchain = await needToolchain(paths);
  const [{ vmm }, images] = await Promise.all([
    chooseVmm({ toolchain, paths }),
    openImagePlatform({
      paths,
      toolchain,
      machines: async () => (await import('./images/build-machines.ts')).makeBuildMachines(platform),
    }),
  ]);
  const programs = { gvproxy: toolchain.gvproxy };
  const platform: Platform = {
    ...images,
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
    settleDisk: (path, signal) => settleExt4Disk({ path, e2fsck: toolchain.e2fsck, signal }),
    makeDisk: (options) => makeExt4Disk({ ...options, mkfs: toolchain.mkfsExt4 }),
  };
  return platform;
};
