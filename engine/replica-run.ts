import { mkdir, readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { Cleanup } from '../base/cleanup.ts';
import { rejectOnAbort } from '../base/deadline.ts';
import { HyprError, isErrno, messageOf } from '../base/errors.ts';
import { logger } from '../base/log.ts';
import { shortHash } from '../base/paths.ts';
import { traced } from '../base/trace.ts';
import type { FileOrders, GuestClient, GuestProcess, MachineOrders } from '../guest/types.ts';
import type { Network } from '../net/types.ts';
import type { DeviceLayout, Machine, MachineSpec } from '../vmm/machine.ts';
import { type MachineParts, machineIdOf, machineOrders, machineSpec } from './machine-orders.ts';
import type { StackNetworks } from './networks.ts';
import type { Platform } from './platform.ts';
import type { ReplicaFile, ReplicaSpec } from './spec.ts';
import type { VmRow } from './state/records.ts';
import type { StackVolumes } from './volumes.ts';

const log = logger('boot');

/** One boot of a replica, from machine on to machine gone. */
export interface Run {
  readonly machine: Machine;
  readonly guest: GuestClient;
  process: GuestProcess | undefined;
  /** The name table it was told last, as JSON. */
  names: string | undefined;
  /** Aborted when the run ends: health checks, log pumps and waits hang on it. */
  readonly abort: AbortController;
}

export interface BootContext {
  readonly platform: Platform;
  readonly networks: StackNetworks;
  readonly volumes: StackVolumes;
  /** Interpolation environment of the project, for secrets and configs with `environment:`. */
  readonly environment: Readonly<Record<string, string>>;
  /** All replicas of the stack, for the name table. */
  readonly vms: () => readonly VmRow[];
  /** Called as soon as a VMM process exists, so that it can be found again whatever happens next. */
  readonly onMachine: (machine: Machine) => void;
}

/** Software emulation boots in 2–4 s, and a clone answers in 0.2 s; a loaded machine may take many times that. */
const AGENT_DEADLINES_MS = { cold: 120_000, clone: 30_000 };
export const DEFAULT_MEMORY_MIB = 512;

/**
 * Boots a replica's machine and prepares it; the workload is not started. Whatever fails, nothing is
 * left: the machine is killed and its folder removed.
 */
export const bootReplica = async (vm: VmRow, context: BootContext, signal: AbortSignal): Promise<Run> => {
  const parts = await traced('disks and mounts', vm.name, () => gatherParts(vm, context, signal));
  const orders = machineOrders({
    spec: { ...vm.spec, extraHosts: context.networks.extraHosts(vm.spec) },
    parts,
    resolver: context.networks.resolver(vm.spec, context.vms()),
    hosts: ownHosts(vm.spec, parts),
    files: await readFiles(vm.spec, context.environment),
    machineId: machineIdOf(vm.id),
  });
  const networks = await traced('network', vm.name, () =>
    Promise.all(vm.spec.networks.map((attachment) => context.networks.ensure(attachment.key, signal))),
  );
  return bootMachine({ spec: machineSpec(parts), orders, networks, platform: context.platform, onMachine: context.onMachine }, signal);
};

export interface BootMachineInput {
  readonly spec: MachineSpec;
  readonly orders: MachineOrders;
  /** One for each NIC of the spec. */
  readonly networks: readonly Network[];
  readonly platform: Platform;
  readonly onMachine: (machine: Machine) => void;
}

/**
 * Machine on, agent answering, orders carried out. Used for replicas and for build machines. A clone whose
 * agent does not answer is given up, and the machine boots.
 */
export const bootMachine = async (input: BootMachineInput, signal: AbortSignal): Promise<Run> => {
  const first: Attempt = { layout: undefined, template: undefined, answered: false };
  try {
    return await bootOnce(input, first, signal);
  } catch (error) {
    if (signal.aborted || first.layout !== 'clone' || first.answered) {
      throw error;
    }
    log.warn('a clone did not wake; booting instead', { machine: input.spec.name, reason: messageOf(error) });
    const cold = { template: first.template };
    return bootOnce({ ...input, spec: { ...input.spec, cold } }, { layout: undefined, template: undefined, answered: false }, signal);
  }
};

/** How far it came. */
interface Attempt {
  layout: DeviceLayout | undefined;
  template: string | undefined;
  answered: boolean;
}

const bootOnce = async (input: BootMachineInput, attempt: Attempt, signal: AbortSignal): Promise<Run> => {
  const { platform } = input;
  const cleanup = new Cleanup();
  try {
    const { name } = input.spec;
    const sockets = await traced('connect cards', name, () => connectNics(input.networks, signal));
    const machine = await traced('machine: program, state, devices', name, () => platform.vmm.create(input.spec, sockets, signal));
    cleanup.defer(() => machine.delete());
    cleanup.defer(() => machine.kill());
    input.onMachine(machine);
    attempt.layout = machine.record.layout;
    attempt.template = machine.record.template;
    await traced('machine goes on', name, () => machine.start(signal));
    // Nobody waits for the agent of a machine that has died.
    const ended = new AbortController();
    cleanup.defer(() => ended.abort());
    const both = AbortSignal.any([signal, ended.signal]);
    const guest = await traced('agent answers', name, () =>
      Promise.race([
        platform.connectGuest(machine.record.agentSocket, { signal: both, timeout: AGENT_DEADLINES_MS[machine.record.layout] }),
        diedDuringBoot(machine, name),
        rejectOnAbort(both),
      ]),
    );
    cleanup.defer(() => guest.close());
    attempt.answered = true;
    await traced('prepare: disks, root, network, names', name, () =>
      Promise.race([guest.prepare(input.orders, signal), diedDuringBoot(machine, name)]),
    );
    cleanup.disarm();
    return { machine, guest, process: undefined, names: JSON.stringify(input.orders.resolver.names), abort: new AbortController() };
  } catch (error) {
    await cleanup.run().catch(() => {});
    throw error;
  }
};

/** A card's end in each network; all or none. */
export const connectNics = async (networks: readonly Network[], signal: AbortSignal): Promise<Socket[]> => {
  const results = await Promise.allSettled(networks.map((network) => network.connectNic(signal)));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    for (const result of results) {
      if (result.status === 'fulfilled') {
        result.value.destroy();
      }
    }
    throw failed.reason;
  }
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
};

/** Rejects if the machine ends before its agent is ready, with what its console said last. */
const diedDuringBoot = async (machine: Machine, name: string): Promise<never> => {
  const exit = await machine.exited;
  throw new HyprError('GUEST_BOOT', `the machine of ${name} ended before it was ready (${exit.detail ?? exit.reason})`, {
    details: exit.lastLines,
  });
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
    runDir: join(platform.runDir, `m-${shortHash(vm.id, 8)}`),
    consoleLog: join(logs, `${vm.name}.console.log`),
    root,
    upper,
    mounts,
    vcpus: vm.spec.vcpus ?? defaultVcpus(platform),
    memoryMib: vm.spec.memoryMib ?? DEFAULT_MEMORY_MIB,
    interfaces: context.networks.lease(vm),
  };
};

/** Emulated processors cost the host's cores even when idle at boot: one is faster than two. With KVM, two as the seeds promise. */
export const defaultVcpus = (platform: Pick<Platform, 'vmm' | 'cores'>): number =>
  platform.vmm.capabilities.accelerated ? Math.min(2, platform.cores) : 1;

const ownHosts = (spec: ReplicaSpec, parts: MachineParts): MachineOrders['hosts'] =>
  parts.interfaces.map((card) => ({
    address: card.address,
    names: spec.domainname ? [`${spec.hostname}.${spec.domainname}`, spec.hostname] : [spec.hostname],
  }));

const readFiles = (spec: ReplicaSpec, environment: Readonly<Record<string, string>>): Promise<FileOrders[]> =>
  Promise.all(
    spec.files.map(async (file) => {
      const { path, mode, uid, gid } = file;
      return { path, mode, uid, gid, content: await readSource(spec, file, environment) };
    }),
  );

const readSource = async (spec: ReplicaSpec, file: ReplicaFile, environment: Readonly<Record<string, string>>): Promise<Uint8Array> => {
  const { source } = file;
  if ('content' in source) {
    return Buffer.from(source.content);
  }
  if ('environment' in source) {
    const value = environment[source.environment];
    if (value === undefined) {
      throw new HyprError(
        'COMPOSE_INVALID',
        `service ${spec.service}: environment variable ${source.environment}, which a secret or config needs, is not set`,
      );
    }
    return Buffer.from(value);
  }
  try {
    return await readFile(source.file);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EISDIR', 'EACCES')) {
      throw new HyprError(
        'COMPOSE_INVALID',
        `service ${spec.service}: the file ${source.file} of a secret or config cannot be read (${error.code})`,
        { cause: error },
      );
    }
    throw error;
  }
};
