import type { Socket } from 'node:net';
import { linkedController, orAbort } from '../../base/abort.ts';
import { Cleanup } from '../../base/cleanup.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { traced } from '../../base/trace/trace.ts';
import { type RefusalReason, refusalReason } from '../../guest/protocol/refusal.ts';
import type { GuestClient, GuestProcess, MachineConfig } from '../../guest/types.ts';
import { hostAddress } from '../../net/addresses/ipam.ts';
import type { Network, NetworkNic, NetworkPolicy } from '../../net/types.ts';
import { type Fallback, fallbackAfter, startOf } from '../../vmm/model/fallback.ts';
import type { Machine, MachineSpec } from '../../vmm/model/machine.ts';
import type { Platform } from '../model/platform.ts';

const log = logger('boot');

/** One run of a replica: from the start of its machine to its end. */
export interface Run {
  readonly machine: Machine;
  readonly guest: GuestClient;
  process: GuestProcess | undefined;
  /** The name table that it has, as JSON. */
  names: string | undefined;
  /** Variables that its programs have besides those of the spec. */
  readonly env?: readonly string[];
  /** Aborted when the run ends; stops health checks, log pumps and waits. */
  readonly abort: AbortController;
}

export interface BootMachineInput {
  readonly spec: MachineSpec;
  readonly config: MachineConfig;
  /** One for each NIC of the spec. */
  readonly networks: readonly Network[];
  /** Where it may connect to outside the networks; default everywhere. */
  readonly egress?: NetworkPolicy | undefined;
  /** Other machines of each network; default all. */
  readonly peers?: ReadonlyArray<NetworkPolicy | undefined>;
  readonly platform: Platform;
  readonly onMachine: (machine: Machine) => void;
  /** What the guest has to have before it is prepared. */
  readonly onGuest?: (guest: GuestClient, signal: AbortSignal) => Promise<void>;
}

/** Software emulation boots in 2–4 s, and a clone answers in 0.2 s; a loaded machine may take many times that. */
const AGENT_DEADLINES_MS = { cold: 120_000, clone: 30_000 };

/**
 * Starts a machine, waits for its agent and has the guest prepared; no workload is started. Used for replicas and for build
 * machines. When a clone fails, the machine starts in another way (`vmm/model/fallback.ts`).
 */
export const bootMachine = async (input: BootMachineInput, signal: AbortSignal): Promise<Run> => {
  const { spec } = input;
  const first: Attempt = { machine: undefined, answered: false };
  try {
    return await bootOnce(input, first, signal);
  } catch (error) {
    const fallback = signal.aborted ? undefined : fallbackFor(spec, first, error);
    if (fallback === undefined) {
      throw error;
    }
    log.warn('a clone failed; starting in another way', { machine: spec.name, next: fallback.start, reason: messageOf(error) });
    const run = await bootMachine({ ...input, spec: { ...spec, fallback } }, signal);
    await blame(input, first.machine);
    return run;
  }
};

const fallbackFor = (spec: MachineSpec, { machine, answered }: Attempt, error: unknown): Fallback | undefined => {
  if (machine === undefined || (answered && isOwnFault(error))) {
    return undefined;
  }
  const start = fallbackAfter(startOf(machine.record), answered ? 'prepare' : 'answer');
  return start && { start, freshLayer: machine.record.rooted === true || spec.fallback?.freshLayer === true };
};

/** How far a start came. */
interface Attempt {
  machine: Machine | undefined;
  answered: boolean;
}

/** Why a guest refuses what a service asks for and no machine could do. Everything else may be the machine's own fault. */
const OWN_FAULTS: readonly RefusalReason[] = ['setting', 'mount', 'file', 'malformed'];

const isOwnFault = (error: unknown): boolean => OWN_FAULTS.some((reason) => reason === refusalReason(error));

/** The same machine started in another way, so the template is at fault. A crash was counted by the VMM already. */
const blame = async ({ platform, spec }: BootMachineInput, machine: Machine | undefined): Promise<void> => {
  const template = machine?.record.template;
  if (template !== undefined && (await machine?.exited)?.reason !== 'crashed') {
    await platform.vmm
      .templateFailed?.(template)
      .catch((error: unknown) => log.warn('the failure of a template was not noted', { machine: spec.name, reason: messageOf(error) }));
  }
};

const bootOnce = async (input: BootMachineInput, attempt: Attempt, signal: AbortSignal): Promise<Run> => {
  const { platform } = input;
  const cleanup = new Cleanup();
  try {
    const { name } = input.spec;
    const sockets = await traced('connect NICs', name, () =>
      connectNics(
        input.networks,
        networkNics({ ...input.config, name, networks: input.networks, egress: input.egress, peers: input.peers }),
        signal,
      ),
    );
    const machine = await traced('machine: program, state, devices', name, () => platform.vmm.create(input.spec, sockets, signal));
    cleanup.defer(() => machine.delete());
    cleanup.defer(() => machine.kill());
    input.onMachine(machine);
    attempt.machine = machine;
    await traced('machine goes on', name, () => machine.start(signal));
    // Stops waiting for the agent once the machine has died.
    const waiting = linkedController(signal);
    cleanup.defer(() => waiting.abort());
    const guest = await traced('agent answers', name, () =>
      orAbort(
        Promise.race([
          platform.connectGuest(machine.record.agentSocket, {
            signal: waiting.signal,
            timeout: AGENT_DEADLINES_MS[machine.record.layout],
          }),
          diedDuringBoot(machine, name),
        ]),
        waiting.signal,
      ),
    );
    cleanup.defer(() => guest.close());
    attempt.answered = true;
    await traced('prepare: disks, root, network, names', name, () =>
      Promise.race([equip(guest, input, signal), diedDuringBoot(machine, name)]),
    );
    cleanup.disarm();
    return { machine, guest, process: undefined, names: JSON.stringify(input.config.resolver.names), abort: new AbortController() };
  } catch (error) {
    await cleanup.run().catch(() => {});
    throw error;
  }
};

const equip = async (guest: GuestClient, input: BootMachineInput, signal: AbortSignal): Promise<void> => {
  await input.onGuest?.(guest, signal);
  await guest.prepare(input.config, signal);
};

/** Connects a NIC to each network; all or none. */
export const connectNics = async (networks: readonly Network[], nics: readonly NetworkNic[], signal: AbortSignal): Promise<Socket[]> => {
  const results = await Promise.allSettled(
    networks.map((network, index) => {
      const nic = nics[index];
      return nic === undefined
        ? Promise.reject(new HyprError('HYPR_INTERNAL', `a machine on ${network.record.spec.name} has no NIC for it`))
        : network.connectNic(nic, signal);
    }),
  );
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

/** The identity of a machine on each of its networks; one that was given the host's address may reach the host. */
export const networkNics = (input: {
  readonly name: string;
  readonly nics: MachineConfig['nics'];
  readonly hosts: MachineConfig['hosts'];
  readonly networks: readonly Network[];
  readonly egress?: NetworkPolicy | undefined;
  readonly peers?: ReadonlyArray<NetworkPolicy | undefined> | undefined;
}): NetworkNic[] =>
  input.nics.map(({ mac, address, ipv6 }, index) => {
    const peers = input.peers?.[index];
    const rules = { ...(input.egress === undefined ? {} : { egress: input.egress }), ...(peers === undefined ? {} : { peers }) };
    const network = input.networks[index]?.record.spec;
    const host = network?.hostAccess === true ? hostAddress(network) : undefined;
    return {
      name: input.name,
      mac,
      addresses: [address, ...(ipv6 === undefined ? [] : [ipv6.address])],
      host: input.hosts.some((line) => line.address === host),
      ...rules,
    };
  });

/** Rejects if the machine ends before its agent is ready, with the last lines of its console. */
const diedDuringBoot = async (machine: Machine, name: string): Promise<never> => {
  const exit = await machine.exited;
  throw new HyprError('GUEST_BOOT', `the machine of ${name} ended before it was ready (${exit.detail ?? exit.reason})`, {
    details: exit.lastLines,
  });
};
