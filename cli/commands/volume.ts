import { randomBytes } from 'node:crypto';
import { HyprError } from '../../base/errors.ts';
import { inspectVolume } from '../../engine/docker/shapes/volume.ts';
import type { VolumeDetail } from '../../engine/model/types.ts';
import type { Handler } from '../core/command-spec.ts';
import { confirm } from '../core/confirm.ts';
import { throwFailures } from '../core/print-error.ts';
import { VOLUME } from '../format/docker-types.ts';
import { compileFilters, hasLabel, isYes, labelJudges, labelText, nameJudge, parseLabels } from '../format/filters.ts';
import { goView } from '../format/go-view.ts';
import { formatListing } from '../format/output.ts';
import { humanSize } from '../format/units.ts';
import { printObjects } from './print-objects.ts';

const COLUMNS = { Driver: 'DRIVER', Name: 'VOLUME NAME' };

/** `volume ls`: the named volumes of all stacks, as docker prints them. */
export const runVolumeLs: Handler = async ({ context, flags }) => {
  const matches = compileFilters<VolumeDetail>(flags.list('filter'), {
    name: nameJudge(({ name }) => name),
    driver: (_, value) => value === 'local',
    dangling: (volume, value) => (volume.users.length === 0) === isYes(value),
    label: (volume, value) => hasLabel(volume.labels, value),
  });
  const volumes = (await (await context.engine()).openObjects()).volumes().filter(matches);
  context.stdout.write(
    flags.bool('quiet')
      ? volumes.map(({ name }) => `${name}\n`).join('')
      : formatListing({ columns: COLUMNS, rows: volumes.map(rowOf), json: 'lines' }, flags.string('format')),
  );
  return 0;
};

const rowOf = ({ name, path, labels, users }: VolumeDetail): Record<string, string> => ({
  Availability: 'N/A',
  Driver: 'local',
  Group: 'N/A',
  Labels: labelText(labels),
  Links: String(users.length),
  Mountpoint: path,
  Name: name,
  Scope: 'local',
  Size: 'N/A',
  Status: 'N/A',
});

export const runVolumeInspect: Handler = async (invocation) => {
  const volumes = new Map((await (await invocation.context.engine()).openObjects()).volumes().map((volume) => [volume.name, volume]));
  return printObjects(invocation, (name) => {
    const volume = volumes.get(name);
    if (volume === undefined) {
      throw new HyprError('NOT_FOUND', `there is no volume ${name}`, { hint: 'see: hypr volume ls' });
    }
    return goView(VOLUME, inspectVolume(volume));
  });
};

/** `volume create`: for a file that says `external: true`. Without a name it gets one of 64 digits, as in docker. */
export const runVolumeCreate: Handler = async ({ context, args, flags }) => {
  const driver = flags.string('driver') ?? 'local';
  if (driver !== 'local') {
    throw new HyprError('HYPR_UNSUPPORTED', `--driver ${driver} is not supported: docker plug-ins are not loaded`);
  }
  const name = args[0] ?? flags.string('name') ?? randomBytes(32).toString('hex');
  await (await (await context.engine()).openObjects()).createVolume(name, parseLabels(flags.list('label')));
  context.stdout.write(`${name}\n`);
  return 0;
};

/** `volume rm`: removes every volume that can be removed, even if others cannot. */
export const runVolumeRm: Handler = async ({ context, args, flags }) => {
  const objects = await (await context.engine()).openObjects();
  const failures: unknown[] = [];
  for (const name of args) {
    try {
      await objects.removeVolume(name);
      context.stdout.write(`${name}\n`);
    } catch (error) {
      if (flags.bool('force') && error instanceof HyprError && error.code === 'NOT_FOUND') {
        context.stdout.write(`${name}\n`);
      } else {
        failures.push(error);
      }
    }
  }
  throwFailures(failures, `${failures.length} volumes were not removed`);
  return 0;
};

/** `volume prune`: anonymous volumes that no replica has; with `-a` those with a name, too. */
export const runVolumePrune: Handler = async ({ context, flags }) => {
  const filters = flags.list('filter');
  const matches = compileFilters<Pick<VolumeDetail, 'labels'>>(filters, {
    ...labelJudges(({ labels }) => labels),
    all: (_, value) => isYes(value) || true,
  });
  const all = flags.bool('all') || filters.some((filter) => filter.startsWith('all=') && isYes(filter.slice('all='.length)));
  const what = all ? 'all volumes that no replica has: data of stacks that are down' : 'all anonymous volumes that no replica has';
  const question = `WARNING! This will remove ${what}.\nAre you sure you want to continue? [y/N] `;
  if (!flags.bool('force') && !(await confirm(context, question, `hypr volume prune${all ? ' --all' : ''} --force`))) {
    return 0;
  }
  const engine = await context.engine();
  // Those of stacks that are gone have no labels.
  const anonymous = matches({ labels: {} })
    ? await engine.prune({ images: 'none', buildsOlderThan: undefined, volumes: true, toolchain: false })
    : { volumes: [], bytes: 0 };
  const named = await (await engine.openObjects()).pruneVolumes({ all, matches });
  const names = [...anonymous.volumes, ...named.names];
  const list = names.length === 0 ? '' : `Deleted Volumes:\n${names.map((name) => `${name}\n`).join('')}\n`;
  context.stdout.write(`${list}Total reclaimed space: ${humanSize(anonymous.bytes + named.bytes)}\n`);
  return 0;
};
