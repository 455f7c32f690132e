import { isDeepStrictEqual } from 'node:util';
import { sanitiseText } from '../../../base/sanitise.ts';
import type { Project, VolumeConfig } from '../../../compose/model/model.ts';
import type { UpOptions, VolumeDetail } from '../../../engine/model/types.ts';
import { volumeDevice } from '../../../engine/resolve/volume-device.ts';
import type { Invocation } from '../../core/command-spec.ts';
import { confirm } from '../../core/confirm.ts';

/**
 * Asks, as docker compose does, whether volumes whose labels are no longer those in the file are recreated, and those of another size
 * than it says: a disk stays as it was made. `--yes` answers for labels. Never for a size: it was ignored once, so volumes with data may
 * have another than their file has said all along. Where nobody can be asked they are kept, and a warning says so. So is a folder for
 * which the file wants a size: none could be made in its place. With `--dry-run` and `--no-recreate` nothing is asked.
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
    const mismatch = found === undefined ? undefined : mismatchOf(config, found);
    return found === undefined || mismatch === undefined ? [] : [{ name: found.name, ...mismatch }];
  });
  const chosen: string[] = [];
  for (const { name, reason, way } of changed) {
    const shown = sanitiseText(name);
    const what = `Volume "${shown}" exists but doesn't match configuration in compose file.${reason}`;
    if (flags.bool('yes') && way === 'yes') {
      chosen.push(name);
    } else if (way === 'none' || flags.bool('yes') || flags.bool('dry-run') || context.stdin.isTTY !== true) {
      context.stderr.write(`warning: ${what} It is kept; ${WAYS[way](command.name, shown)}.\n`);
    } else if (await confirm(context, `${what} Recreate (data will be lost)? (y/N) `, `hypr ${command.name} --yes`)) {
      chosen.push(name);
    }
  }
  return chosen.length === 0 ? {} : { recreateVolumes: chosen };
};

/** How a volume is recreated: by an answer, which may be `--yes`, by an answer at the terminal alone, or not at all. */
type Way = 'yes' | 'asked' | 'none';

/** What the user can do about a volume that is kept. */
const WAYS: Readonly<Record<Way, (command: string, name: string) => string>> = {
  yes: (command) => `hypr ${command} --yes recreates it, and its data are lost`,
  asked: (command, name) => `hypr down, hypr volume rm ${name} and hypr ${command} make it anew, and its data are lost`,
  none: () => 'drop its size from the file',
};

/** Why a volume is not the one in the file: what docker's text does not say of that. Undefined where it is. */
const mismatchOf = (config: VolumeConfig, found: VolumeDetail): { readonly reason: string; readonly way: Way } | undefined => {
  const device = volumeDevice(config);
  const wanted = device.kind === 'own' ? device.sizeMib : undefined;
  if (wanted !== undefined && found.sizeMib === undefined) {
    return { reason: ' It is a folder, which can have no size.', way: 'none' };
  }
  const isLabelled = isDeepStrictEqual(ownLabels(found), { ...config.labels });
  if (wanted !== undefined && found.sizeMib !== undefined && found.sizeMib !== wanted) {
    return { reason: ` It has ${found.sizeMib} MiB, and the size of a volume cannot be changed.`, way: isLabelled ? 'asked' : 'yes' };
  }
  return isLabelled ? undefined : { reason: '', way: 'yes' };
};

/** Without those that docker compose adds. */
const ownLabels = ({ labels }: VolumeDetail): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).filter(([key]) => !key.startsWith('com.docker.compose.')));
