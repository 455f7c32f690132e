import { Cleanup } from '../../base/cleanup.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { type DiskSpec, disksOf, type Machine, type MachineRecord, type ShareSpec } from '../../vmm/model/machine.ts';
import { devices, type ReplicaDisks } from './machine-config.ts';

const log = logger('sharing');

/** What a one-off adds to a machine that runs, and what it finds there. */
export interface LateDisks {
  /** Disks that the machine does not have yet. */
  readonly plug: readonly DiskSpec[];
  /** Its own name of a disk or share → the name that the machine has it by. */
  readonly known: ReadonlyMap<string, string>;
}

/**
 * Matches what a one-off needs against what the machine has that it joins: a disk is plugged in unless it is there, a folder must be there.
 * Of what another one-off brought only a volume counts: its image goes with it when it ends.
 * `member`: what its serials begin with; `host`: the replica whose machine it is. Throws HYPR_UNSUPPORTED, VOLUME_IN_USE. Pure.
 */
export const lateDisks = (
  parts: ReplicaDisks,
  { member, host, record }: { readonly member: string; readonly host: string; readonly record: Pick<MachineRecord, 'spec' | 'plugged'> },
): LateDisks => {
  const wanted = devices(parts, member);
  const known = new Map<string, string>();
  const volumes = new Set(
    parts.mounts.flatMap(({ mount, backing }) => (mount.kind === 'volume' && 'path' in backing ? [backing.path] : [])),
  );
  const fixed = new Set(record.spec.disks);
  const there = disksOf(record);
  const plug = wanted.disks.filter((disk) => {
    const found = there.find((one) => one.path === disk.path && (fixed.has(one) || volumes.has(one.path) || one.serial === disk.serial));
    if (found?.readOnly && !disk.readOnly) {
      throw new HyprError('VOLUME_IN_USE', `the machine of ${host} has ${disk.path} read-only`, {
        hint: 'mount the volume with :ro, or stop the machine first',
      });
    }
    return found === undefined || !known.set(disk.serial, found.serial);
  });
  for (const share of wanted.shares) {
    known.set(share.tag, findShare(share, record.spec.shares, host).tag);
  }
  return { plug: plug.map(withoutBlank), known };
};

const findShare = (share: ShareSpec, there: readonly ShareSpec[], host: string): ShareSpec => {
  const found = there.find(
    ({ path, ownership, file, readOnly }) =>
      path === share.path && ownership === share.ownership && file === share.file && (share.readOnly || !readOnly),
  );
  if (found === undefined) {
    throw new HyprError(
      'HYPR_UNSUPPORTED',
      `${share.path} cannot be mounted: the machine of ${host} runs already, and takes no further folders`,
      {
        hint: 'add the mount to the service in the file, whose folders the machine has from its start, or mount a volume',
      },
    );
  }
  return found;
};

/** It is made before it is plugged in. */
const withoutBlank = ({ blank: _blank, ...disk }: DiskSpec): DiskSpec => disk;

/** Plugs the disks in, all or none. Throws VMM_START, HYPR_UNSUPPORTED. */
export const plugDisks = async (machine: Machine, disks: readonly DiskSpec[], host: string, signal: AbortSignal): Promise<void> => {
  const cleanup = new Cleanup();
  try {
    for (const disk of disks) {
      if (machine.plugDisk === undefined) {
        throw new HyprError('HYPR_UNSUPPORTED', 'disks cannot be plugged into machines that run');
      }
      const plugged = await machine.plugDisk(disk, signal);
      cleanup.defer(() => plugged.unplug());
    }
  } catch (error) {
    await cleanup.run().catch(() => {});
    signal.throwIfAborted();
    if (error instanceof HyprError && error.code === 'HYPR_UNSUPPORTED') {
      throw error;
    }
    throw new HyprError('VMM_START', `the machine of ${host} takes no further disk: ${messageOf(error)}`, {
      hint: `each takes one of its ports, of which one that booted before any service joined it has two: end other one-offs, or restart ${host}`,
      cause: error,
    });
  }
};

/** Takes the disks that nobody uses any more out of a machine that goes on. Never rejects. */
export const unplugDisks = async (machine: Machine, isUsed: (disk: DiskSpec) => boolean): Promise<void> => {
  for (const { disk } of machine.record.plugged ?? []) {
    if (!isUsed(disk)) {
      await machine
        .unplugDisk?.(disk.serial)
        .catch((error: unknown) => log.warn('a disk is left in a machine', { disk: disk.path, error: messageOf(error) }));
    }
  }
};
