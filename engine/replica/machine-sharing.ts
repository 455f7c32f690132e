import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { MachineSharing } from './boot/boot-context.ts';
import type { Replica } from './replica.ts';

const log = logger('sharing');

/** Who runs in whose machine (`network_mode: service:X`), by the replicas of one stack. */
export const machineSharing = (replicas: ReadonlyMap<string, Replica>): MachineSharing => {
  const membersOf = (owner: string): Replica[] => [...replicas.values()].filter(({ row }) => row.spec.shares?.replica === owner);
  return {
    members: (owner) => membersOf(owner).map(({ row }) => row),
    owner: (name) => {
      const replica = replicas.get(name);
      return replica && { row: replica.row, run: replica.run };
    },
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
    startMembers: (owner) => {
      for (const member of membersOf(owner)) {
        member.startWithOwner();
      }
    },
  };
};
