import { isDeepStrictEqual } from 'node:util';
import { sanitiseText } from '../../../base/sanitise.ts';
import type { Project } from '../../../compose/model/model.ts';
import type { UpOptions, VolumeDetail } from '../../../engine/model/types.ts';
import type { Invocation } from '../../core/command-spec.ts';
import { confirm } from '../../core/confirm.ts';

/**
 * Asks, as docker compose does, whether volumes whose labels are no longer those in the file are recreated. `--yes` answers. Where
 * nobody can be asked they are kept, and a warning says so. With `--dry-run` and `--no-recreate` nothing is asked.
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
  const changed = own.flatMap(({ name = '', labels = {} }) => {
    const found = known.find((volume) => volume.name === name);
    return found !== undefined && found.stack === project.name && !isDeepStrictEqual(ownLabels(found), { ...labels }) ? [name] : [];
  });
  const chosen: string[] = [];
  for (const name of changed) {
    const shown = sanitiseText(name);
    const what = `Volume "${shown}" exists but doesn't match configuration in compose file.`;
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

/** Without those that docker compose adds. */
const ownLabels = ({ labels }: VolumeDetail): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).filter(([key]) => !key.startsWith('com.docker.compose.')));
