import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Cleanup } from '../../base/cleanup.ts';
import { HyprError } from '../../base/errors.ts';
import { shortHash } from '../../base/paths.ts';
import { traced } from '../../base/trace.ts';
import type { FileSpec, GuestClient, MachineConfig } from '../../guest/types.ts';
import type { AwaitPort } from '../../net/ports/publish.ts';
import type { Machine } from '../../vmm/model/machine.ts';
import type { Refusals } from '../logs/refusals.ts';
import { authorityFiles, authorityVariables } from '../machine/authority.ts';
import { bootMachine, type Run } from '../machine/boot-machine.ts';
import { borrowVolumes, type LostVolume } from '../machine/borrow-volumes.ts';
import { type AcceptDocker, openDockerSockets } from '../machine/docker-sockets.ts';
import { type MachineParts, machineConfig, machineIdOf, machineSpec } from '../machine/machine-config.ts';
import { openOutbound } from '../machine/outbound.ts';
import type { Platform } from '../model/platform.ts';
import type { ReplicaSpec } from '../model/spec.ts';
import { egressPolicy } from '../resolve/egress-policy.ts';
import { readFileContent } from '../resolve/file-content.ts';
import type { StackNetworks } from '../resources/networks.ts';
import type { PeerPolicies } from '../resources/peer-policies.ts';
import type { StackVolumes } from '../resources/volumes.ts';
import type { VmRow } from '../state/records.ts';

export type { Run } from '../machine/boot-machine.ts';

export interface BootContext {
  readonly platform: Platform;
  readonly networks: StackNetworks;
  readonly volumes: StackVolumes;
  /** Interpolation environment of the project, for secrets and configs with `environment:`. */
  readonly environment: Readonly<Record<string, string>>;
  /** All replicas of the stack, for the name table. */
  readonly vms: () => readonly VmRow[];
  /** Connections to published ports wait for this before they are carried into the network. */
  readonly awaitPort?: AwaitPort;
  /** What the file allows between services. */
  readonly policies: Pick<PeerPolicies, 'connecting' | 'apply'>;
  /** Where what a proxy refused is told. */
  readonly refusals: Pick<Refusals, 'tell'>;
  /** Answers programs of a machine that connect to docker's socket in it; `replica` is its id. */
  readonly acceptDocker: AcceptDocker;
  /** Called when a volume is gone that another replica's machine served. */
  readonly onVolumeLost: (replica: string, lost: LostVolume) => void;
  /** Called as soon as a VMM process exists, so that it is recorded whatever happens next. */
  readonly onMachine: (machine: Machine) => void;
}

export const DEFAULT_MEMORY_MIB = 512;

/**
 * Boots a replica's machine and prepares it; the workload is not started. On failure the machine is killed and its folder
 * removed.
 */
export const bootReplica = async (vm: VmRow, context: BootContext, signal: AbortSignal): Promise<Run> => {
  const parts = await traced('disks and mounts', vm.name, () => gatherParts(vm, context, signal));
  const authority = await authorityFiles(vm.spec);
  const config = machineConfig({
    spec: { ...vm.spec, extraHosts: context.networks.extraHosts(vm.spec) },
    parts,
    resolver: context.networks.resolver(vm.spec, context.vms()),
    hosts: ownHosts(vm.spec, parts),
    files: [...(await readFiles(vm.spec, context.environment)), ...authority],
    machineId: machineIdOf(vm.id),
  });
  const networks = await traced('network', vm.name, () =>
    Promise.all(vm.spec.networks.map((attachment) => context.networks.ensure(attachment.key, signal))),
  );
  const { platform, onMachine, policies } = context;
  // Others get the rules about its addresses before it can be reached.
  await policies.apply(signal);
  const rules = { egress: egressPolicy(vm.spec), peers: policies.connecting(vm, config.nics) };
  const cleanup = new Cleanup();
  const onGuest = (guest: GuestClient, booting: AbortSignal) =>
    borrowVolumes(guest, parts.mounts, (lost) => context.onVolumeLost(vm.name, lost), booting);
  const run = await bootMachine({ spec: machineSpec(parts), config, networks, ...rules, platform, onMachine, onGuest }, signal);
  cleanup.defer(() => run.machine.delete());
  cleanup.defer(() => run.machine.kill());
  cleanup.defer(() => run.guest.close());
  try {
    // And it those about machines that were connected meanwhile.
    await policies.apply(signal);
    await openOutbound(run.guest, vm, context, signal);
    await openDockerSockets(run.guest, vm, context, signal);
    return { ...run, env: authorityVariables(authority) };
  } catch (error) {
    await cleanup.run().catch(() => {});
    throw error;
  }
};

const gatherParts = async (vm: VmRow, context: BootContext, signal: AbortSignal): Promise<MachineParts> => {
  const { platform } = context;
  const image = await platform.findImage(vm.imageId);
  if (image === undefined) {
    throw new HyprError('IMAGE_NOT_FOUND', `the image of ${vm.name} (${vm.spec.image}) is no longer in the store`, {
      hint: 'run hypr compose up again to pull or build it',
    });
  }
  const [root, upper, mounts] = await Promise.all([
    platform.rootDisk(image),
    context.volumes.upper(vm.name),
    context.volumes.back(vm.spec, signal),
  ]);
  const logs = join(platform.paths.logs, vm.stack);
  await mkdir(logs, { recursive: true, mode: 0o700 });
  return {
    name: vm.name,
    runDir: machineDir(vm, platform),
    consoleLog: join(logs, `${vm.name}.console.log`),
    root,
    upper,
    mounts,
    vcpus: vm.spec.vcpus ?? defaultVcpus(platform),
    memoryMib: vm.spec.memoryMib ?? DEFAULT_MEMORY_MIB,
    nics: context.networks.lease(vm),
    ...(vm.spec.nested ? { nested: true } : {}),
    siblings: isPlain(vm)
      ? context.vms().filter((other) => other.id !== vm.id && other.state === 'created' && isAlike(vm, other)).length
      : 0,
  };
};

/** Folder of a replica's machine while there is one: its sockets. */
export const machineDir = ({ id }: Pick<VmRow, 'id'>, platform: Pick<Platform, 'runDir'>): string =>
  join(platform.runDir, `m-${shortHash(id, 8)}`);

/** Whether it can be forked from a zygote: it has a root, a writable layer and one NIC. */
const isPlain = ({ spec }: VmRow): boolean => spec.mounts.length === 0 && spec.networks.length === 1;

const isAlike = (one: VmRow, other: VmRow): boolean =>
  isPlain(other) &&
  other.imageId === one.imageId &&
  other.spec.vcpus === one.spec.vcpus &&
  other.spec.memoryMib === one.spec.memoryMib &&
  other.spec.nested === one.spec.nested;

/** Emulated processors cost the host's cores even when idle at boot: one is faster than two. With KVM, two as the seeds promise. */
export const defaultVcpus = (platform: Pick<Platform, 'vmm' | 'cores'>): number =>
  platform.vmm.capabilities.accelerated ? Math.min(2, platform.cores) : 1;

const ownHosts = (spec: ReplicaSpec, parts: MachineParts): MachineConfig['hosts'] =>
  parts.nics
    .flatMap(({ address, ipv6 }) => [address, ...(ipv6 === undefined ? [] : [ipv6.address])])
    .map((address) => ({ address, names: spec.domainname ? [`${spec.hostname}.${spec.domainname}`, spec.hostname] : [spec.hostname] }));

const readFiles = (spec: ReplicaSpec, environment: Readonly<Record<string, string>>): Promise<FileSpec[]> =>
  Promise.all(
    spec.files.map(async (file) => {
      const { path, mode, uid, gid } = file;
      return { path, mode, uid, gid, content: await readFileContent(file, { service: spec.service, environment }) };
    }),
  );
