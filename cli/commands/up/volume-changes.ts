import { isDeepStrictEqual } from 'node:util';
import { sanitiseText } from '../../../base/sanitise.ts';
import type { Project, VolumeConfig } from '../../../compose/model/model.ts';
import type { UpOptions, VolumeDetail } from '../../../engine/model/types.ts';
import { volumeDevice } from '../../../engine/resolve/volume-device.ts';
import type { Invocation } from '../../core/command-spec.ts';
import { confirm } from '../../core/confirm.ts';

/**
 * Asks, as docker compose does, whether volumes whose labels are no longer those in the file are recreated, and those of another size
 * than it says: a disk stays as it was made. `--yes` answers. Where nobody can be asked they are kept, and a warning says so. With `--dry-run` and `--no-recreate` nothing is asked.
 */
export const recreatedVolumes = async (
  { context, flags, command }: Pick<Invocation, 'context' | 'flags' | 'command'>,
  project: Project,
): Promise<Pick<UpOptions, 'recreateVolumes'>> => {
  const own = Object.values(project.volumes).filter((volume) => volume.external !== true);
  if (own.length === 0 || flags.bool('no-recreate')) {
    return {};
  }
  const known = (await (await context.engine()).openObjects()).volumes();
  const changed = own.flatMap((config) => {
    const found = known.find((volume) => volume.name === config.name && volume.stack === project.name);
    const reason = found === undefined ? undefined : mismatch(config, found);
    return found === undefined || reason === undefined ? [] : [{ name: found.name, reason }];
  });
  const chosen: string[] = [];
  for (const { name, reason } of changed) {
    const shown = sanitiseText(name);
    const what = `Volume "${shown}" exists but doesn't match configuration in compose file.${reason}`;
    if (flags.bool('yes')) {
      chosen.push(name);
    } else if (flags.bool('dry-run') || context.stdin.isTTY !== true) {
      context.stderr.write(`warning: ${what} It is kept; hypr ${command.name} --yes recreates it, and its data are lost.\n`);
    } else if (await confirm(context, `${what} Recreate (data will be lost)? (y/N) `, `hypr ${command.name} --yes`)) {
      chosen.push(name);
    }
  }
  return chosen.length === 0 ? {} : { recreateVolumes: chosen };
};

/** Why a volume is not the one in the file: what docker's text does not say of that. Undefined where it is. */
const mismatch = (config: VolumeConfig, found: VolumeDetail): string | undefined => {
  const device = volumeDevice(config);
  const wanted = device.kind === 'own' ? device.sizeMib : undefined;
  if (wanted !== undefined && found.sizeMib === undefined) {
    return ' It is a folder, which can have no size.';
  }
  if (wanted !== undefined && found.sizeMib !== undefined && found.sizeMib !== wanted) {
    return ` It has ${found.sizeMib} MiB, and the size of a volume cannot be changed.`;
  }
  return isDeepStrictEqual(ownLabels(found), { ...config.labels }) ? undefined : '';
};

/** Without those that docker compose adds. */
const ownLabels = ({ labels }: VolumeDetail): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).filter(([key]) => !key.startsWith('com.docker.compose.')));
