import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Cleanup } from '../../../base/cleanup.ts';
import { shortHash } from '../../../base/paths.ts';
import { traced } from '../../../base/trace/trace.ts';
import type { GuestClient } from '../../../guest/types.ts';
import { authorityFiles, authorityVariables } from '../../machine/authority.ts';
import { bootMachine, type Run } from '../../machine/boot-machine.ts';
import { borrowVolumes } from '../../machine/borrow-volumes.ts';
import { openDockerSockets } from '../../machine/docker-sockets.ts';
import { type MachineParts, machineConfig, machineIdOf, machineSpec, memberName } from '../../machine/machine-config.ts';
import { openOutbound } from '../../machine/outbound.ts';
import type { Platform } from '../../model/platform.ts';
import { egressPolicy } from '../../resolve/egress-policy.ts';
import type { VmRow } from '../../state/records.ts';
import type { BootContext } from './boot-context.ts';
import { ownHosts, readFiles, replicaDisks } from './disks.ts';
import { joinMachine } from './join-machine.ts';

export type { Run } from '../../machine/boot-machine.ts';
export type { BootContext } from './boot-context.ts';

export const DEFAULT_MEMORY_MIB = 512;

/**
 * Boots a replica's machine and prepares it; the workload is not started. On failure the machine is killed and its folder
 * removed.
 */
export const bootReplica = async (vm: VmRow, context: BootContext, signal: AbortSignal): Promise<Run> => {
  if (vm.spec.shares !== undefined) {
    return joinMachine(vm, vm.spec.shares, context, signal);
  }
  const parts = await traced('disks and mounts', vm.name, () => gatherParts(vm, context, signal));
  const authority = await authorityFiles(vm.spec);
  const config = machineConfig({
    spec: { ...vm.spec, extraHosts: context.networks.extraHosts(vm.spec) },
    parts,
    resolver: context.networks.resolver(vm.spec, context.vms()),
    hosts: ownHosts(vm.spec, parts.nics),
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
  const own = await replicaDisks(vm, context, signal);
  const members = await Promise.all(
    context.sharing.members(vm.name).map(async (row) => [memberName(row), await replicaDisks(row, context, signal)] as const),
  );
  const logs = join(platform.paths.logs, vm.stack);
  await mkdir(logs, { recursive: true, mode: 0o700 });
  return {
    ...own,
    name: vm.name,
    runDir: machineDir(vm, platform),
    consoleLog: join(logs, `${vm.name}.console.log`),
    ...sizeOf(vm, context),
    nics: context.networks.lease(vm),
    ...(vm.spec.nested ? { nested: true } : {}),
    ...(vm.spec.cards === undefined ? {} : { cards: vm.spec.cards }),
    siblings:
      isPlain(vm) && members.length === 0
        ? context.vms().filter((other) => other.id !== vm.id && other.state === 'created' && isAlike(vm, other)).length
        : 0,
    members: Object.fromEntries(members),
  };
};

/** Memory for everybody in it; processors as whoever wants most of them. */
const sizeOf = (vm: VmRow, context: BootContext): Pick<MachineParts, 'vcpus' | 'memoryMib'> => {
  const specs = [vm.spec, ...context.sharing.members(vm.name).map(({ spec }) => spec)];
  return {
    vcpus: Math.max(...specs.map(({ vcpus }) => vcpus ?? defaultVcpus(context.platform))),
    memoryMib: specs.reduce((sum, { memoryMib }) => sum + (memoryMib ?? DEFAULT_MEMORY_MIB), 0),
  };
};

/** Folder of a replica's machine while there is one: its sockets. */
export const machineDir = ({ id }: Pick<VmRow, 'id'>, platform: Pick<Platform, 'runDir'>): string =>
  join(platform.runDir, `m-${shortHash(id, 8)}`);

/** Whether it can be forked from a zygote: it has a root, a writable layer and one NIC. */
const isPlain = ({ spec }: VmRow): boolean => spec.mounts.length === 0 && spec.networks.length === 1 && spec.cards === undefined;

const isAlike = (one: VmRow, other: VmRow): boolean =>
  isPlain(other) &&
  other.imageId === one.imageId &&
  other.spec.vcpus === one.spec.vcpus &&
  other.spec.memoryMib === one.spec.memoryMib &&
  other.spec.nested === one.spec.nested;

/** Emulated processors cost the host's cores even when idle at boot: one is faster than two. With KVM, two as the seeds promise. */
export const defaultVcpus = (platform: Pick<Platform, 'vmm' | 'cores'>): number =>
  platform.vmm.capabilities.accelerated ? Math.min(2, platform.cores) : 1;
