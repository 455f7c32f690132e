import type { VolumeDetail } from '../../model/types.ts';

/** `volume inspect`: docker's keys; where it is on this host, and who has it, besides. */
export const inspectVolume = ({ name, path, labels, createdAt, users }: VolumeDetail): Record<string, unknown> => ({
  CreatedAt: new Date(createdAt).toISOString(),
  Driver: 'local',
  Labels: labels,
  Mountpoint: path,
  Name: name,
  Options: null,
  Scope: 'local',
  UsedBy: users,
});
