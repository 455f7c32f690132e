import type { AwaitPort } from '../../../net/ports/publish.ts';
import type { Machine } from '../../../vmm/model/machine.ts';
import type { Refusals } from '../../logs/refusals.ts';
import type { Run } from '../../machine/boot-machine.ts';
import type { LostVolume } from '../../machine/borrow-volumes.ts';
import type { AcceptDocker } from '../../machine/docker-sockets.ts';
import type { Platform } from '../../model/platform.ts';
import type { StackNetworks } from '../../resources/networks.ts';
import type { PeerPolicies } from '../../resources/peer-policies.ts';
import type { StackVolumes } from '../../resources/volumes.ts';
import type { VmRow } from '../../state/records.ts';

/** Replicas that run in the machine of another of their stack. */
export interface MachineSharing {
  /** Those in the machine of this replica, whether they run or not. */
  members(replica: string): readonly VmRow[];
  /** A replica with its machine, which is absent while it does not run. */
  owner(replica: string): { readonly row: VmRow; readonly run: Run | undefined } | undefined;
  /** Records the machine of this replica as it is now: whoever takes it over has to know its disks. */
  noteMachine(replica: string): void;
  /** Whether the machine of this replica lives and has not answered yet. */
  isSilent(replica: string): boolean;
  /** Resolves when nobody waits any more for the machine that an earlier supervisor left. */
  adopted(replica: string): Promise<void>;
  /** Stops those that run in the machine of this replica, which is about to end. */
  stopMembers(replica: string): Promise<void>;
  /**
   * Waits for the end of those of these replicas that are being stopped: they write to their volumes until then. For no longer than its
   * grace period, or `graceMs` where that is more, and the end of its machine take.
   */
  awaitStopping(replicas: readonly VmRow[], graceMs: number): Promise<void>;
  /** Starts those again that ended with the machine of this replica, which runs again. */
  startMembers(replica: string): void;
}

export interface BootContext {
  readonly sharing: MachineSharing;
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
