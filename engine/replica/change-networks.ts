import { HyprError, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { NicConfig } from '../../guest/types.ts';
import { connectNics, networkNics } from '../machine/boot-machine.ts';
import type { NetworkAttachment } from '../model/object-types.ts';
import { egressPolicy } from '../resolve/egress-policy.ts';
import { networkKeyOf, withNetwork, withoutNetwork } from '../resources/attachments.ts';
import { publishPorts } from '../resources/publish.ts';
import type { VmRow } from '../state/records.ts';
import type { Run } from './boot/run.ts';
import type { ReplicaParts } from './parts/parts.ts';

const log = logger('replica');

/**
 * Puts a replica on one more network, until it is made again: a running one at once, any other from its next start on. After a failure
 * it is on the networks that it was on. Throws NOT_FOUND, HYPR_UNSUPPORTED, NET_ADDRESS, NET_EXHAUSTED, VMM_START.
 */
export const connectReplica = async (
  parts: ReplicaParts,
  { name, wanted }: { readonly name: string; readonly wanted: NetworkAttachment },
  signal: AbortSignal,
): Promise<void> => {
  const { record, context } = parts;
  const before = record.row;
  const key = networkKeyOf(context.store, name, before);
  const after = withNetwork(before, { key, name }, wanted);
  needSteady(before);
  const nics = context.networks.lease(after);
  record.update({ spec: after.spec });
  try {
    const nic = nics.at(-1);
    if (parts.run !== undefined && nic !== undefined) {
      await plugIn(parts, parts.run, { nic, key }, signal);
    }
  } catch (error) {
    context.store.removeLease(before.id, key);
    record.update({ spec: before.spec });
    throw error;
  } finally {
    context.onChange();
  }
  if (before.spec.networks.length === 0) {
    await publishAgain(parts, signal);
  }
};

/** The reverse. What still goes over the network ends. The published ports go through another network then, if there is one. */
export const disconnectReplica = async (parts: ReplicaParts, name: string, signal: AbortSignal): Promise<void> => {
  const { record, context } = parts;
  const before = record.row;
  const key = networkKeyOf(context.store, name, before);
  const after = withoutNetwork(before, { key, name });
  needSteady(before);
  const gone = context.networks.lease(before)[before.spec.networks.findIndex((network) => network.key === key)];
  const { run } = parts;
  if (run !== undefined && gone !== undefined) {
    try {
      await unplug(run, { parts, key, gone, after }, signal);
    } finally {
      noteMachine(parts, run);
    }
  }
  context.store.removeLease(before.id, key);
  record.update({ spec: after.spec });
  if (parts.run !== undefined) {
    if (before.spec.networks.find((network) => network.key === key)?.isDefault) {
      await publishAgain(parts, signal);
    }
  }
  context.onChange();
};

/** A machine that is paused, suspended or in between has a guest that does not answer. */
const needSteady = ({ name, state }: VmRow): void => {
  if (state === 'paused' || state === 'suspended' || state === 'stopping' || state === 'starting') {
    throw new HyprError('HYPR_UNSUPPORTED', `the networks of ${name} cannot change while it is ${state}`, {
      hint: 'let it run, or stop it, first',
    });
  }
};

/** Whoever takes the machine over has to know its cards; unless it has ended meanwhile. */
const noteMachine = (parts: ReplicaParts, run: Run): void => {
  if (parts.run === run) {
    parts.record.update({ machine: run.machine.record });
  }
};

const plugIn = async (
  parts: ReplicaParts,
  run: Run,
  { nic, key }: { readonly nic: NicConfig; readonly key: string },
  signal: AbortSignal,
): Promise<void> => {
  const { record, context } = parts;
  const { row } = record;
  const network = await context.networks.ensure(key, signal);
  // Others get the rules about its address before it can be reached.
  await context.policies.apply(signal);
  const peers = context.policies.connecting(row, context.networks.lease(row)).at(-1);
  const hosts = context.networks.extraHosts(row.spec);
  const identity = { name: row.name, nics: [nic], hosts, networks: [network], egress: egressPolicy(row.spec), peers: [peers] };
  const [socket] = await connectNics([network], networkNics(identity), signal);
  if (socket === undefined || run.machine.plugNic === undefined) {
    socket?.destroy();
    throw new HyprError('HYPR_UNSUPPORTED', `the machine of ${row.name} takes no further network card`);
  }
  try {
    await run.machine.plugNic({ mac: nic.mac, mtu: nic.mtu }, socket, signal);
    await run.guest.addNics([nic], context.networks.resolver(row.spec, context.vms()), signal);
    await context.policies.apply(signal);
  } catch (error) {
    await network.detachNic(nic.mac).catch(() => {});
    await run.machine.unplugNic?.(nic.mac).catch((reason: unknown) => log.warn('a network card is left', { error: messageOf(reason) }));
    throw error;
  } finally {
    noteMachine(parts, run);
  }
};

interface Unplug {
  readonly parts: ReplicaParts;
  readonly key: string;
  readonly gone: NicConfig;
  readonly after: VmRow;
}

const unplug = async (run: Run, { parts: { context }, key, gone, after }: Unplug, signal: AbortSignal): Promise<void> => {
  if (run.machine.unplugNic === undefined) {
    throw new HyprError('HYPR_UNSUPPORTED', `the machine of ${after.name} keeps its network cards`);
  }
  await run.machine.unplugNic(gone.mac, signal);
  // QEMU has closed its end: the gateway may not know yet.
  await (await context.networks.ensure(key, signal)).detachNic(gone.mac).catch(() => {});
  const routed = context.networks.lease(after).filter(({ gateway, ipv6 }) => gateway !== undefined || ipv6?.gateway !== undefined);
  await run.guest.addNics(routed, context.networks.resolver(after.spec, context.vms()), signal);
};

/** Published ports are carried into the network with the default route, which is another one now. */
const publishAgain = async ({ record, context, publications, run, listeners }: ReplicaParts, signal: AbortSignal): Promise<void> => {
  if (run === undefined || record.row.spec.ports.length === 0) {
    return;
  }
  await publications.close();
  if (record.row.spec.networks.length > 0) {
    publications.take(await publishPorts(record.row, { ...context, guest: () => run.guest, awaitPort: listeners.awaitPort }, signal));
  }
  record.update({ published: publications.ports });
};
