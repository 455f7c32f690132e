import { messageOf } from '../../../base/errors.ts';
import { GuestExecError } from '../../../guest/client/process-channel.ts';
import type { ProcessExit } from '../../../guest/types.ts';
import type { MachineExit } from '../../../vmm/model/machine.ts';
import type { ReplicaStatus } from '../../model/events.ts';
import { nextState } from '../../model/lifecycle.ts';
import { shownNetwork } from '../../model/network-key.ts';
import type { ReplicaMount } from '../../model/spec.ts';
import type { LeaseRow, VmRow } from '../../state/records.ts';

/** A row of the database as `ps` and the dashboard see it. */
export const replicaStatus = (vm: VmRow, leases: readonly LeaseRow[]): ReplicaStatus => ({
  id: vm.id,
  name: vm.name,
  service: vm.service,
  number: vm.number,
  oneOff: vm.oneOff,
  image: vm.spec.image,
  imageId: vm.imageId,
  command: vm.spec.process.args,
  state: vm.state,
  health: vm.health,
  exitCode: vm.exitCode,
  ...(vm.reason === undefined ? {} : { reason: vm.reason }),
  ...(vm.reason === OUT_OF_MEMORY ? { oomKilled: true } : {}),
  restarts: vm.restarts,
  createdAt: vm.createdAt,
  ...(vm.startedAt === undefined ? {} : { startedAt: vm.startedAt }),
  ...(vm.finishedAt === undefined ? {} : { finishedAt: vm.finishedAt }),
  addresses: leases
    .filter((lease) => lease.vmId === vm.id)
    .map((lease) => ({ network: shownNetwork(lease.network), address: lease.ip, mac: lease.mac })),
  ports:
    vm.state === 'running' || vm.state === 'paused' || vm.state === 'starting'
      ? vm.published.map(({ protocol, hostAddress, hostPort, port }) => ({ protocol, hostAddress, hostPort, port }))
      : [],
  exposed: vm.spec.exposed,
  labels: vm.spec.labels,
  mounts: vm.spec.mounts.map(mountName),
  volumes: vm.spec.mounts.flatMap((mount) => (mount.kind === 'volume' ? [mount.volume] : [])),
  ...(vm.bootMs === undefined ? {} : { bootMs: vm.bootMs }),
});

const mountName = (mount: ReplicaMount): string =>
  mount.kind === 'volume' ? mount.volume : mount.kind === 'bind' ? mount.source : mount.kind === 'image' ? mount.image : mount.target;

/** The reason that is recorded for a workload that the kernel killed for want of memory. */
const OUT_OF_MEMORY = 'out of memory';

/** Why a run ended, when its exit code does not say it. */
const endReason = (exit: ProcessExit | undefined, gone: MachineExit, stopped: boolean): string | undefined => {
  if (exit !== undefined) {
    return exit.oomKilled ? OUT_OF_MEMORY : undefined;
  }
  if (gone.reason === 'crashed') {
    return `the machine died: ${gone.detail ?? gone.lastLines.at(-1) ?? 'no reason given'}`;
  }
  return gone.reason === 'off' && !stopped ? 'the machine powered off without reporting the end of its workload' : undefined;
};

/** The row of a workload that has just started. */
export const startedPatch = (row: VmRow): Partial<VmRow> => ({
  state: nextState(row.state, 'started'),
  health: row.spec.health ? 'starting' : 'none',
  startedAt: Date.now(),
  finishedAt: undefined,
  exitCode: 0,
});

/** The row of a run that has ended. */
export const endedPatch = (row: VmRow, exit: ProcessExit | undefined, gone: MachineExit): Partial<VmRow> => ({
  state: nextState(row.state, 'exit'),
  machine: undefined,
  exitCode: exit?.code ?? 137,
  reason: endReason(exit, gone, row.state === 'stopping'),
  finishedAt: Date.now(),
  health: 'none',
});

/** The row of a workload that could not be started. docker's exit codes: 126 not executable, 127 not found. */
export const unstartedPatch = (error: unknown, gone: MachineExit): Partial<VmRow> & { readonly reason: string } => ({
  state: 'exited',
  machine: undefined,
  exitCode: error instanceof GuestExecError ? error.exitCode : 127,
  reason: (gone.reason === 'crashed' ? endReason(undefined, gone, false) : undefined) ?? messageOf(error),
  finishedAt: Date.now(),
});

/** The row of a replica whose boot was interrupted: it looks as if the boot had never been tried. */
export const unbootedPatch = (row: VmRow): Partial<VmRow> => ({
  state: row.startedAt === undefined ? 'created' : 'exited',
  machine: undefined,
  reason: undefined,
});

/** The row of a machine that vanished while no supervisor ran. */
export const lostPatch = (reason: string): Partial<VmRow> => ({
  state: 'exited',
  machine: undefined,
  exitCode: 137,
  reason,
  finishedAt: Date.now(),
  health: 'none',
});

/** Whether a `run --rm` replica has ended for good and can be removed. */
export const hasLeft = ({ spec, state }: VmRow): boolean => spec.autoRemove !== undefined && (state === 'exited' || state === 'dead');

/** Whether its disks are removed with it, so that nothing needs to be synced before its machine ends. */
export const keepsNothing = ({ spec }: VmRow): boolean =>
  spec.autoRemove !== undefined && spec.mounts.every(({ kind }) => kind === 'tmpfs' || kind === 'anonymous');

/** Whether nothing of it runs, nor will by itself; one that shares a machine has its disks there. */
export const isAtRest = ({ state, spec }: VmRow, run: object | undefined): boolean =>
  run === undefined && (state === 'created' || state === 'exited' || state === 'dead') && spec.shares === undefined;
