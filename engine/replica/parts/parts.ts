import { Publications } from '../../resources/publish.ts';
import type { VmRow } from '../../state/records.ts';
import { GuestClock } from '../boot/guest-clock.ts';
import { FLUSH_MS, PowerDowns } from '../boot/power-down.ts';
import type { Run } from '../boot/run.ts';
import { ShareWatch } from '../edits/share-watch.ts';
import { isSynced, SyncedFolders } from '../edits/synced-folders.ts';
import { Attempts } from './attempts.ts';
import { ReplicaListeners } from './listeners.ts';
import { ReplicaOutput } from './output.ts';
import { ReplicaHealth } from './probe-health.ts';
import { type ReplicaContext, ReplicaRecord } from './record.ts';
import { Responsiveness } from './responsiveness.ts';

/** The parts of one replica, shared by its start and its end, with the current run that one hands to the other. */
export interface ReplicaParts {
  readonly context: ReplicaContext;
  readonly record: ReplicaRecord;
  readonly output: ReplicaOutput;
  readonly health: ReplicaHealth;
  readonly listeners: ReplicaListeners;
  readonly synced: SyncedFolders;
  readonly responsiveness: Responsiveness;
  readonly clock: GuestClock;
  readonly attempts: Attempts;
  readonly powerDowns: PowerDowns;
  readonly publications: Publications;
  /** The current run: set when the machine is prepared, unset when it is cleaned up. */
  run: Run | undefined;
  /** It ended with the machine that it shares, and starts again with it. */
  startsWithOwner: boolean;
}

/** The parts of a replica that does not run. */
export const gatherParts = (row: VmRow, context: ReplicaContext): ReplicaParts => {
  const record = new ReplicaRecord(row, context);
  const shares = new ShareWatch(context.platform.vmm, row.name);
  const health = new ReplicaHealth(record);
  const clock = new GuestClock(row);
  return {
    context,
    record,
    output: new ReplicaOutput({ logs: context.logs, bus: context.bus, replica: row.name, service: row.service }),
    health,
    listeners: new ReplicaListeners(record, (run, share) => shares.begin(run, share)),
    synced: new SyncedFolders(context.bus, row.name),
    responsiveness: new Responsiveness(record, context.bus, { health, clock }),
    clock,
    attempts: new Attempts(row.name),
    powerDowns: new PowerDowns(row.name, () => record.isOver, isSynced(row.spec) ? FLUSH_MS : 0),
    publications: new Publications(),
    run: undefined,
    startsWithOwner: false,
  };
};
