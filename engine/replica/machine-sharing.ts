import { withDeadline } from '../../base/deadline.ts';
import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { hasMachine } from '../model/lifecycle.ts';
import type { MachineSharing } from './boot/boot-context.ts';
import { FLUSH_MS, POWER_OFF_MS } from './boot/power-down.ts';
import { isSynced } from './edits/synced-folders.ts';
import type { Replica } from './replica.ts';

const log = logger('sharing');

/** Who runs in whose machine (`network_mode: service:X`), by the replicas of one stack. */
export const machineSharing = (replicas: ReadonlyMap<string, Replica>): MachineSharing => {
  const membersOf = (owner: string): Replica[] => [...replicas.values()].filter(({ row }) => row.spec.shares?.replica === owner);
  return {
    // A one-off joins once it runs.
    members: (owner) => membersOf(owner).flatMap(({ row }) => (row.oneOff ? [] : [row])),
    owner: (name) => {
      const replica = replicas.get(name);
      return replica && { row: replica.row, run: replica.run };
    },
    noteMachine: (name) => replicas.get(name)?.noteMachine(),
    isSilent: (name) => replicas.get(name)?.adoption.isPending === true,
    adopted: async (name) => void (await replicas.get(name)?.adoption.ended()),
    stopMembers: async (owner) => {
      await Promise.all(
        membersOf(owner)
          .filter(({ run }) => run !== undefined)
          .map((member) =>
            member
              .stopWithOwner()
              .catch((error: unknown) => log.warn('not stopped with its machine', { replica: member.row.name, error: messageOf(error) })),
          ),
      );
    },
    awaitStopping: async (rows, graceMs) => {
      const ending = rows.filter((row) => hasMachine(row.state) && (row.state === 'stopping' || row.stoppedByUser));
      await Promise.all(
        ending.map(async ({ name, spec }) => {
          const deadline = {
            ms: Math.max(spec.stopGraceMs, graceMs) + POWER_OFF_MS + (isSynced(spec) ? FLUSH_MS : 0),
            what: `the end of ${name}`,
          };
          await withDeadline(deadline, async () => replicas.get(name)?.ended()).catch((error: unknown) =>
            log.warn('not waited for any longer', { replica: name, error: messageOf(error) }),
          );
        }),
      );
    },
    startMembers: (owner) => {
      for (const member of membersOf(owner)) {
        member.startWithOwner();
      }
    },
  };
};
