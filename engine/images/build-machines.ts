import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Cleanup } from '../../base/cleanup.ts';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import { BUILD_MEMORY_MIB } from '../../builder/model/machine-scheduler.ts';
import {
  BUILD_PROXY_PORT,
  type BuildDisk,
  type BuildMachine,
  type BuildMachineOptions,
  type BuildMachines,
} from '../../builder/model/types.ts';
import type { GuestClient, MachineConfig, NicConfig } from '../../guest/types.ts';
import { allocateAddress, chooseSubnet, hostAddress, macAddress, prefixLength } from '../../net/addresses/ipam.ts';
import { NETWORK_MTU } from '../../net/defaults.ts';
import { openDownloadProxy, PACKAGE_HOSTS } from '../../net/downloads/download-proxy.ts';
import type { Network } from '../../net/types.ts';
import type { Machine } from '../../vmm/model/machine.ts';
import { bootMachine } from '../machine/boot-machine.ts';
import { lookAtMachine } from '../machine/look-at-machine.ts';
import type { Platform } from '../model/platform.ts';
import { startBuildGuard } from './build-guard.ts';

const BUILD_DISK_MIB = 64 * 1024;
/** Disks of caches and mounted images that a machine can have at once. */
const SPARE_PORTS = 12;
const POWER_OFF_MS = 10_000;

/**
 * Machines for RUN steps. Each has its own isolated network, so that a build can reach the internet but not this host, a
 * stack or another build.
 */
export const makeBuildMachines = (platform: Platform): BuildMachines => ({
  async start(options, signal) {
    const id = randomBytes(4).toString('hex');
    const limits = { memoryMib: options.memoryMib ?? BUILD_MEMORY_MIB, diskMib: options.diskMib ?? BUILD_DISK_MIB };
    const cleanup = new Cleanup();
    const runDir = join(platform.runDir, `b-${id}`);
    const diskDir = join(platform.paths.build, `machine-${id}`);
    const log = join(platform.paths.logs, 'builds', id);
    try {
      const guard = startBuildGuard({ runDir, folders: [diskDir, log] });
      cleanup.defer(() => guard.close());
      cleanup.defer(() => rm(diskDir, { recursive: true, force: true }));
      cleanup.defer(() => rm(runDir, { recursive: true, force: true }));
      await Promise.all([runDir, diskDir, log].map((dir) => mkdir(dir, { recursive: true, mode: 0o700 })));
      cleanup.defer(() => rm(log, { recursive: true, force: true }));
      const [upper, network] = await Promise.all([
        makeUpper({ platform, diskDir, options, signal }),
        options.network !== 'default' ? undefined : startBuildNetwork({ platform, runDir, log, hostAccess: wantsHost(options), signal }),
      ]);
      cleanup.defer(() => network?.network.stop());
      const nics = network === undefined ? [] : [network.nic];
      const run = await bootMachine(
        {
          platform,
          spec: {
            name: `build-${id}`,
            runDir: join(runDir, 'm'),
            consoleLog: join(log, 'console.log'),
            folder: diskDir,
            vcpus: options.vcpus ?? platform.cores,
            memoryMib: limits.memoryMib,
            disks: [
              { serial: 'root', path: options.root.path, format: options.root.format, readOnly: true },
              { serial: 'upper', path: upper, format: 'raw', readOnly: false },
            ],
            nics: nics.map((nic, index) => ({ id: `n${index}`, mac: nic.mac, mtu: nic.mtu })),
            shares: [],
            sparePorts: SPARE_PORTS,
            endWhenFull: true,
          },
          config: buildConfig({ options, nics, gateway: network?.nic.gateway, host: network?.host }),
          networks: network === undefined ? [] : [network.network],
          onMachine: () => {},
        },
        signal,
      );
      cleanup.defer(() => run.machine.delete());
      cleanup.defer(async () => {
        await withDeadline({ ms: POWER_OFF_MS, what: 'the end of the build machine' }, (limit) =>
          run.guest.powerOff({ stopSignal: 9, graceMs: 0 }, limit),
        ).catch(() => {});
        await run.machine.kill();
      });
      if (options.network === 'proxy') {
        const proxy = await startProxy({ platform, options, guest: run.guest, signal });
        cleanup.defer(() => proxy.close());
      }
      const close = () => cleanup.run();
      return {
        guest: run.guest,
        limits,
        makeDisk: (path, abort) => makeCacheDisk(platform, path, abort),
        plugDisk: (disk, abort) => plugDisk(run.machine, disk, abort),
        look: () => lookAtMachine(run),
        close,
        [Symbol.asyncDispose]: close,
      } satisfies BuildMachine;
    } catch (error) {
      await cleanup.run().catch(() => {});
      throw error;
    }
  },
});

const makeCacheDisk = async (platform: Platform, path: string, signal: AbortSignal): Promise<void> => {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await platform.makeDisk({ path, sizeMib: BUILD_DISK_MIB, label: 'cache', signal });
};

const plugDisk = async (machine: Machine, disk: BuildDisk, signal: AbortSignal) => {
  if (machine.plugDisk === undefined) {
    throw new HyprError('VMM_START', 'disks cannot be plugged into machines that run');
  }
  return await machine.plugDisk(disk, signal);
};

/** The machine has no network: its programs reach the proxy on their loopback, and the proxy reaches only allowed hosts. */
const startProxy = async (input: { platform: Platform; options: BuildMachineOptions; guest: GuestClient; signal: AbortSignal }) => {
  const { allow = [], onRefused = () => {} } = input.options.proxy ?? {};
  const cacheFolder = join(input.platform.paths.build, 'downloads', 'proxy');
  const proxy = openDownloadProxy({ allow: [...PACKAGE_HOSTS, ...allow], onRefused, cacheFolder });
  const relay = await input.guest.relay({ port: BUILD_PROXY_PORT }, (connection) => proxy.accept(connection), input.signal);
  return {
    close: async () => {
      proxy.close();
      await relay.close();
    },
  };
};

const makeUpper = async (input: {
  platform: Platform;
  diskDir: string;
  options: BuildMachineOptions;
  signal: AbortSignal;
}): Promise<string> => {
  const path = join(input.diskDir, 'upper.ext4');
  await input.platform.makeDisk({ path, sizeMib: input.options.diskMib ?? BUILD_DISK_MIB, label: 'build', signal: input.signal });
  return path;
};

type Nic = NicConfig & { readonly gateway: string };

const startBuildNetwork = async (input: {
  platform: Platform;
  runDir: string;
  log: string;
  hostAccess: boolean;
  signal: AbortSignal;
}): Promise<{ network: Network; nic: Nic; host: string }> => {
  const { subnet, gateway } = await chooseSubnet({ taken: [] });
  const spec = {
    name: 'build',
    runDir: join(input.runDir, 'n'),
    log: join(input.log, 'network.log'),
    subnet,
    gateway,
    internal: false,
    mtu: NETWORK_MTU,
    hostAccess: input.hostAccess,
  };
  const network = await input.platform.startNetwork(spec, input.signal);
  const address = allocateAddress({ subnet, gateway, taken: [] });
  const nic = { mac: macAddress(input.runDir), name: 'eth0', address, prefix: prefixLength(subnet), gateway, mtu: NETWORK_MTU };
  return { network, nic, host: hostAddress(spec) };
};

/** Only with `host-gateway` among the extra hosts can a build reach this host. */
const HOST_GATEWAY = 'host-gateway';
const wantsHost = ({ hosts }: BuildMachineOptions): boolean => hosts.some(({ address }) => address === HOST_GATEWAY);

const buildConfig = (input: {
  options: BuildMachineOptions;
  nics: readonly Nic[];
  gateway: string | undefined;
  host: string | undefined;
}): MachineConfig => ({
  // BuildKit's default, unless BUILDKIT_SANDBOX_HOSTNAME says otherwise.
  hostname: 'buildkitsandbox',
  machineId: randomBytes(16).toString('hex'),
  entropy: randomBytes(64),
  clock: Date.now(),
  root: { disk: 'root', upper: 'upper', readOnly: false },
  mounts: buildMounts(input.options),
  nics: input.nics,
  resolver: { names: {}, search: [], upstreams: input.gateway === undefined ? [] : [input.gateway], options: [] },
  hosts: input.options.hosts.flatMap(({ address, names }) => {
    const resolved = address === HOST_GATEWAY ? input.host : address;
    return resolved === undefined ? [] : [{ address: resolved, names }];
  }),
  files: [],
  sysctls: {},
});

const buildMounts = ({ shmSize }: BuildMachineOptions): MachineConfig['mounts'] =>
  shmSize === undefined ? [] : [{ kind: 'tmpfs', target: '/dev/shm', readOnly: false, size: shmSize, mode: 0o1777 }];
