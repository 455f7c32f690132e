import type { Publications } from '../resources/publish.ts';
import type { Attempts } from './attempts.ts';
import type { ReplicaOutput } from './output.ts';
import type { PowerDowns } from './power-down.ts';
import type { ReplicaHealth } from './probe-health.ts';
import type { ReplicaContext, ReplicaRecord } from './record.ts';
import type { Run } from './run.ts';

/** What one replica is made of. Its way up and its end share it, and the run of now, which they hand over. */
export interface ReplicaParts {
  readonly context: ReplicaContext;
  readonly record: ReplicaRecord;
  readonly output: ReplicaOutput;
  readonly health: ReplicaHealth;
  readonly attempts: Attempts;
  readonly powerDowns: PowerDowns;
  readonly publications: Publications;
  /** From a machine that is prepared until what it left is cleaned up. */
  run: Run | undefined;
}
