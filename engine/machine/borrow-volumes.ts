import type { GuestClient } from '../../guest/types.ts';
import { carryVolume } from '../../guest/volume-stream.ts';
import type { BackedMount } from './machine-config.ts';

/** A volume that a machine no longer has, because the one that served it ended. */
export interface LostVolume {
  readonly volume: string;
  readonly keeper: string;
}

/**
 * Mounts the volumes that other machines have in a guest that waits for its configuration, and carries what the two say until either
 * ends. Throws GUEST_REFUSED.
 */
export const borrowVolumes = async (
  guest: GuestClient,
  mounts: readonly BackedMount[],
  onLost: (lost: LostVolume) => void,
  signal: AbortSignal,
): Promise<void> => {
  for (const [index, { mount, backing }] of mounts.entries()) {
    if (backing.kind === 'lent' && mount.kind === 'volume') {
      const borrower = await guest.borrow(`share${index}`, signal);
      void carryVolume(backing.guest.lend(backing.disk, { readOnly: backing.readOnly }), borrower).then(({ side }) => {
        if (side === 'keeper') {
          onLost({ volume: mount.volume, keeper: backing.name });
        }
      });
    }
  }
};
