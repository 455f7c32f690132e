import type { Publications } from '../resources/publish.ts';
import type { Attempts } from './attempts.ts';
import type { ReplicaListeners } from './listeners.ts';
import type { ReplicaOutput } from './output.ts';
import type { PowerDowns } from './power-down.ts';
import type { ReplicaHealth } from './probe-health.ts';
import type { ReplicaContext, ReplicaRecord } from './record.ts';
import type { Responsiveness } from './responsiveness.ts';
import type { Run } from './run.ts';

/** The parts of one replica, shared by its start and its end, with the current run that one hands to the other. */
export interface ReplicaParts {
  readonly context: ReplicaContext;
  readonly record: ReplicaRecord;
  readonly output: ReplicaOutput;
  readonly health: ReplicaHealth;
  readonly listeners: ReplicaListeners;
  readonly responsiveness: Responsiveness;
  readonly attempts: Attempts;
  readonly powerDowns: PowerDowns;
  readonly publications: Publications;
  /** The current run: set when the machine is prepared, unset when it is cleaned up. */
  run: Run | undefined;
}
