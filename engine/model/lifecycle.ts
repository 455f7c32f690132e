import { HyprError } from '../../base/errors.ts';
import type { ReplicaState } from './events.ts';

/** What can happen to a replica. */
export type LifecycleEvent = 'boot' | 'started' | 'exit' | 'fail' | 'stop' | 'retry' | 'pause' | 'unpause' | 'suspend' | 'resume';

/**
 * The lifecycle of a replica. The usual path is `created → starting → running → exited`. A `dead` replica is one whose
 * machine could not be started or was lost; `up` and `start` try again.
 */
const TRANSITIONS: Record<ReplicaState, Partial<Record<LifecycleEvent, ReplicaState>>> = {
  created: { boot: 'starting', stop: 'created', fail: 'dead' },
  starting: { started: 'running', exit: 'exited', fail: 'dead', stop: 'stopping' },
  running: { exit: 'exited', fail: 'exited', stop: 'stopping', pause: 'paused' },
  paused: { unpause: 'running', exit: 'exited', fail: 'exited', stop: 'stopping', suspend: 'suspended' },
  suspended: { resume: 'running', fail: 'exited', stop: 'exited' },
  restarting: { boot: 'starting', stop: 'exited', fail: 'dead' },
  stopping: { exit: 'exited', fail: 'exited', stop: 'stopping' },
  exited: { boot: 'starting', retry: 'restarting', stop: 'exited' },
  dead: { boot: 'starting', retry: 'restarting', stop: 'dead' },
};

/** The state after an event. An event that is impossible in a state is a bug in hypr. */
export const nextState = (state: ReplicaState, event: LifecycleEvent): ReplicaState => {
  const next = TRANSITIONS[state][event];
  if (next === undefined) {
    throw new HyprError('HYPR_INTERNAL', `a replica that is ${state} cannot ${event}`);
  }
  return next;
};

/** States in which a VMM process may exist. */
export const hasMachine = (state: ReplicaState): boolean =>
  state === 'starting' || state === 'running' || state === 'paused' || state === 'stopping';

/**
 * States that only `stop` ends cleanly. A suspended machine is resumed for it, because its guest holds data that is not
 * on its disks yet.
 */
export const needsStop = (state: ReplicaState): boolean => hasMachine(state) || state === 'restarting' || state === 'suspended';
