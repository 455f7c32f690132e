import { messageOf } from '../../base/errors.ts';
import type { EventBus } from '../logs/bus.ts';
import type { LostVolume } from '../machine/borrow-volumes.ts';
import { hasMachine } from '../model/lifecycle.ts';
import type { Replica } from '../replica/replica.ts';
import type { AwaitGuest } from '../resources/volume-users.ts';
import { awaitReplicas } from './operations/conditions.ts';

interface Stack {
  readonly replicas: ReadonlyMap<string, Replica>;
  readonly bus: EventBus;
}

/** Waits for the machine of a replica that is booting, and for the end of one that is stopping. */
export const guestsOf =
  ({ replicas, bus }: Stack): AwaitGuest =>
  async (name, signal) => {
    const isSettled = (replica: Replica) =>
      (replica.run !== undefined && replica.row.state !== 'stopping') || !hasMachine(replica.row.state);
    const verdict = (replica: Replica) => (isSettled(replica) ? ({ ok: true } as const) : undefined);
    await awaitReplicas({ replicas: () => [replicas.get(name) ?? []].flat(), bus, verdict }, signal);
    const replica = replicas.get(name);
    return replica === undefined || !isSettled(replica) ? undefined : replica.run?.guest;
  };

/**
 * The machine that served a volume has ended. A replica of a service starts again, and gets the disk itself or is served by another
 * one; a one-off goes on, and what it does with the volume fails. Never rejects.
 */
export const onVolumeLost = async ({ replicas, bus }: Stack, name: string, lost: LostVolume): Promise<void> => {
  const replica = replicas.get(name);
  if (
    replica?.run === undefined ||
    replica.run.abort.signal.aborted ||
    !hasMachine(replica.row.state) ||
    replica.row.state === 'stopping'
  ) {
    return;
  }
  const { oneOff } = replica.row;
  const then = oneOff ? 'what it does with it fails from now on' : 'it starts again';
  bus.emit({ type: 'warning', message: `${name} has lost the volume ${lost.volume}, which ${lost.keeper} served and has ended: ${then}` });
  if (!oneOff) {
    await replica.startAgain().catch((error: unknown) => {
      bus.emit({ type: 'warning', message: `${name} could not be started again: ${messageOf(error)}` });
    });
  }
};
