import { Cleanup } from '../../../base/cleanup.ts';
import { HyprError } from '../../../base/errors.ts';
import { type DiskSpec, disksOf } from '../../../vmm/model/machine.ts';
import { authorityFiles, authorityVariables } from '../../machine/authority.ts';
import type { Run } from '../../machine/boot-machine.ts';
import { openDockerSockets } from '../../machine/docker-sockets.ts';
import { JoinedMachine } from '../../machine/joined-machine.ts';
import { type LateDisks, lateDisks, plugDisks } from '../../machine/late-disks.ts';
import { machineConfig, machineIdOf, memberName, type ReplicaDisks, rootSerial } from '../../machine/machine-config.ts';
import type { SharedMachine } from '../../model/spec.ts';
import type { VmRow } from '../../state/records.ts';
import type { BootContext } from './boot-context.ts';
import { ownHosts, readFiles, replicaDisks } from './disks.ts';

/** The agent is a program of a guest that runs already; a loaded machine may take many times what it needs. */
const AGENT_DEADLINE_MS = 30_000;

/** A replica that runs, and the part of its machine that another one has. */
export interface Joined {
  readonly owner: { readonly row: VmRow; readonly run: Run };
  readonly machine: JoinedMachine;
  readonly guest: Run['guest'];
}

/**
 * Prepares a replica in the machine of another: its disks are there already, its agent is started. On failure nothing of it is left.
 * Throws STACK_NOT_RUNNING.
 */
export const joinMachine = async (vm: VmRow, shares: SharedMachine, context: BootContext, signal: AbortSignal): Promise<Run> => {
  const { owner, machine, guest } = await openMember(vm, shares, context, signal);
  const cleanup = new Cleanup();
  cleanup.defer(() => guest.close());
  cleanup.defer(() => machine.delete());
  try {
    const { mounts, known } = await attach(vm, owner, context, signal);
    // Its record has the disks.
    context.onMachine(machine);
    const authority = await authorityFiles(vm.spec);
    const { spec } = owner.row;
    const config = machineConfig({
      // Name, hosts and name servers are those of the network.
      spec: { ...vm.spec, hostname: spec.hostname, domainname: spec.domainname, extraHosts: context.networks.extraHosts(spec) },
      parts: { mounts, nics: [] },
      resolver: { ...context.networks.resolver(spec, context.vms()), names: {} },
      hosts: ownHosts(spec, context.networks.lease(owner.row)),
      files: [...(await readFiles(vm.spec, context.environment)), ...authority],
      machineId: machineIdOf(vm.id),
      member: memberName(vm),
      known,
    });
    await Promise.race([guest.prepare(config, signal), ended(machine, vm.name)]);
    await openDockerSockets(guest, vm, context, signal);
    return { machine, guest, process: undefined, names: undefined, env: authorityVariables(authority), abort: new AbortController() };
  } catch (error) {
    await cleanup.run().catch(() => {});
    throw error;
  }
};

/** Finds its disks in the machine; those of a one-off are plugged in. */
const attach = async (
  vm: VmRow,
  { row, run: { machine } }: Joined['owner'],
  context: BootContext,
  signal: AbortSignal,
): Promise<Pick<ReplicaDisks, 'mounts'> & Pick<LateDisks, 'known'>> => {
  const parts = await replicaDisks(vm, context, signal, disksOf(machine.record));
  if (!vm.oneOff) {
    return { mounts: parts.mounts, known: new Map() };
  }
  const { plug, known } = lateDisks(parts, { member: memberName(vm), host: row.name, record: machine.record });
  await context.platform.makeDisk({ path: parts.upper, sizeMib: parts.upperMib, label: 'upper', signal });
  try {
    await plugDisks(machine, plug, row.name, signal);
  } finally {
    context.sharing.noteMachine(row.name);
  }
  return { mounts: parts.mounts, known };
};

/** Starts its agent, or finds it again. Throws STACK_NOT_RUNNING, GUEST_REFUSED, HYPR_TIMEOUT. */
export const openMember = async (vm: VmRow, shares: SharedMachine, context: BootContext, signal: AbortSignal): Promise<Joined> => {
  const found = context.sharing.owner(shares.replica);
  if (found === undefined) {
    const message = `${vm.name} cannot share network namespace with service ${shares.service}: container missing`;
    throw new HyprError('STACK_NOT_RUNNING', message, { hint: `make it first: hypr -p ${vm.stack} up -d ${shares.service}` });
  }
  if (found.run === undefined) {
    throw new HyprError('STACK_NOT_RUNNING', `${vm.name} runs in the machine of ${shares.replica}, which does not run`, {
      hint: `start it first: hypr -p ${vm.stack} start ${shares.service}`,
    });
  }
  const owner = { row: found.row, run: found.run };
  const { machine: host, guest: outer } = owner.run;
  const member = memberName(vm);
  if (!vm.oneOff && !host.record.spec.disks.some(({ serial }) => serial === rootSerial(member))) {
    throw new HyprError(
      'STACK_NOT_RUNNING',
      `${vm.name} was made after the machine of ${shares.replica} had started, and has no disks in it`,
      {
        hint: `start both again: hypr -p ${vm.stack} restart ${shares.service}`,
      },
    );
  }
  const guest = await outer.openMember(member, { sharesIpc: shares.ipc === true, signal, timeout: AGENT_DEADLINE_MS });
  const onUnplugged = () => context.sharing.noteMachine(shares.replica);
  const whole = { machine: host, guest: outer };
  const isUsed = (disk: DiskSpec) => context.volumes.isUsedInMachine(disk, vm);
  return { owner, guest, machine: new JoinedMachine({ replica: shares.replica, host: whole, member, guest, isUsed, onUnplugged }) };
};

const ended = async (machine: JoinedMachine, name: string): Promise<never> => {
  const exit = await machine.exited;
  throw new HyprError('GUEST_BOOT', `${name} ended before it was ready (${exit.detail ?? exit.reason})`, { details: exit.lastLines });
};
