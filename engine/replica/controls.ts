import { constants } from 'node:os';
import { HyprError } from '../../base/errors.ts';
import { nextState } from '../model/lifecycle.ts';
import type { Run } from './boot/run.ts';
import type { ReplicaRecord } from './parts/record.ts';

const { SIGKILL } = constants.signals;

export interface Controlled {
  readonly record: ReplicaRecord;
  /** The current run, which may end while it is being controlled. */
  readonly run: () => Run | undefined;
}

export const pauseRun = async (replica: Controlled): Promise<void> => {
  const run = needRun(replica, replica.run());
  await run.machine.pause();
  needRun(replica, run);
  replica.record.update({ state: nextState(replica.record.row.state, 'pause') });
  replica.record.emit('pause');
};

export const unpauseRun = async (replica: Controlled): Promise<void> => {
  const run = needRun(replica, replica.run());
  await run.machine.resume();
  await run.guest.setClock(Date.now());
  needRun(replica, run);
  replica.record.update({ state: nextState(replica.record.row.state, 'unpause') });
  replica.record.emit('unpause');
};

/** Sends a signal to the workload. SIGKILL also works on a paused guest and on one that does not answer. */
export const signalRun = async (replica: Controlled, signal: number): Promise<void> => {
  const { record } = replica;
  const { machine, process } = needRun(replica, replica.run());
  const isPaused = record.row.state === 'paused';
  if (signal !== SIGKILL) {
    if (isPaused) {
      throw new HyprError('STACK_NOT_RUNNING', `${record.row.name} is paused and hears no signal`, { hint: 'hypr compose unpause, first' });
    }
    if (signal === record.row.spec.stopSignal) {
      // As docker: who sends the signal that stops it means it to stop.
      record.update({ stoppedByUser: true });
    }
    await process.signal(signal);
  } else {
    record.update({ stoppedByUser: true });
    if (isPaused) {
      await machine.resume().catch(() => {});
    }
    await process.signal(SIGKILL).catch(() => machine.kill());
  }
  record.emit('kill');
};

type StartedRun = Run & { readonly process: NonNullable<Run['process']> };

const needRun = (replica: Controlled, run: Run | undefined): StartedRun => {
  if (run?.process === undefined || run !== replica.run()) {
    throw new HyprError('STACK_NOT_RUNNING', `${replica.record.row.name} is not running`);
  }
  return run as StartedRun;
};
