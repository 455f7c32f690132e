import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { GuestClient } from '../../guest/types.ts';
import type { VmRow } from '../state/records.ts';

/** Takes over a connection that a program of the replica with this id made. */
export type AcceptDocker = (replica: string, connection: Duplex) => void;

/** All programs of a machine are as trusted as its root, whoever they run as; docker's group has another number in every image. */
const MODE = 0o666;

/** Listens at docker's sockets of a machine, until its guest is gone; nothing where it mounts none. Throws GUEST_REFUSED. */
export const openDockerSockets = async (
  guest: Pick<GuestClient, 'relay'>,
  { id, spec }: Pick<VmRow, 'id' | 'spec'>,
  context: { readonly acceptDocker: AcceptDocker },
  signal: AbortSignal,
): Promise<void> => {
  for (const [index, { kind, target }] of spec.mounts.entries()) {
    if (kind === 'docker') {
      // Never a name that it had before: a socket cannot be shown over one that is removed.
      const place = { socket: `docker${index}-${randomBytes(6).toString('hex')}`, mode: MODE, uid: 0, gid: 0, target };
      await guest.relay(place, (connection) => context.acceptDocker(id, connection), signal);
    }
  }
};
