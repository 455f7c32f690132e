import { randomBytes } from 'node:crypto';
import { HyprError } from '../../../base/errors.ts';
import { diskUsage } from '../../../base/host/disk-usage.ts';
import type { VolumeDetail } from '../../model/types.ts';
import { ANONYMOUS_LABEL } from '../../model/volume-name.ts';
import { ApiError, notHere } from '../http/errors.ts';
import { compileFilters, hasLabel, isYes, labelJudges, nameJudge, readFilters } from '../http/filters.ts';
import type { Call, Routes } from '../http/router.ts';
import { asMap, asText } from '../http/values.ts';
import type { Host } from '../machines/host.ts';
import { inspectVolume } from '../shapes/volume.ts';

/** The named volumes of all stacks. */
export const volumeRoutes = (host: Host): Routes => ({
  'GET /volumes': ({ query, reply }) => {
    const matches = compileFilters<VolumeDetail>(query, {
      name: nameJudge(({ name }) => name),
      driver: (_, value) => value === 'local',
      dangling: (volume, value) => (volume.users.length === 0) === isYes(value),
      label: (volume, value) => hasLabel(volume.labels, value),
    });
    reply.json({ Volumes: host.objects.volumes().filter(matches).map(inspectVolume), Warnings: null });
  },
  'POST /volumes/create': (call) => createVolume(host, call),
  'POST /volumes/prune': (call) => pruneVolumes(host, call),
  'GET /volumes/{name}': ({ params, reply }) => reply.json(inspectVolume(findVolume(host, params.name ?? ''))),
  'DELETE /volumes/{name}': async ({ params, query, reply }) => {
    const name = params.name ?? '';
    const isThere = host.objects.volumes().some((volume) => volume.name === name);
    if (isThere || !query.bool('force')) {
      findVolume(host, name);
      await host.objects.removeVolume(name);
      tell(host, 'destroy', name);
    }
    reply.empty(204);
  },
});

const findVolume = (host: Host, name: string): VolumeDetail => {
  const found = host.objects.volumes().find((volume) => volume.name === name);
  if (found === undefined) {
    throw new ApiError(404, `get ${name}: no such volume`);
  }
  return found;
};

const createVolume = async (host: Host, { body, reply }: Call): Promise<void> => {
  const request = await body.json();
  const driver = asText(request.Driver) ?? 'local';
  const options = asMap(request.DriverOpts);
  if (driver !== 'local') {
    throw new ApiError(404, `error looking up volume plugin ${driver}: plugin "${driver}" not found`);
  }
  if (Object.keys(options).length > 0) {
    throw notHere(
      `a volume with the options ${Object.keys(options).join(', ')}`,
      'mount a folder of the host instead, or write driver_opts: in a Compose file',
    );
  }
  const given = asText(request.Name);
  const name = given ?? randomBytes(32).toString('hex');
  const isNew = !host.objects.volumes().some((volume) => volume.name === name);
  // Without a name it is anonymous, and `prune` takes it.
  await host.objects.createVolume(name, { ...asMap(request.Labels), ...(given === undefined ? { [ANONYMOUS_LABEL]: '' } : {}) });
  if (isNew) {
    tell(host, 'create', name);
  }
  reply.json(inspectVolume(findVolume(host, name)), 201);
};

/** Anonymous volumes that nobody has; with the filter `all` those with a name, too. */
const pruneVolumes = async (host: Host, { query, reply }: Call): Promise<void> => {
  const matches = compileFilters<Pick<VolumeDetail, 'labels'>>(query, { ...labelJudges(({ labels }) => labels), all: () => true });
  const all = readFilters(query).all?.some(isYes) === true;
  const { pruneSystem } = await import('../../client/storage.ts');
  // Those of `hypr run` have neither a name nor labels.
  const unnamed = matches({ labels: {} })
    ? await pruneSystem({ images: 'none', buildsOlderThan: undefined, volumes: true, toolchain: false })
    : { volumes: [], bytes: 0 };
  const names = [...unnamed.volumes];
  let { bytes } = unnamed;
  const isMeant = (volume: VolumeDetail): boolean => all || volume.labels[ANONYMOUS_LABEL] !== undefined;
  for (const volume of host.objects.volumes().filter((each) => isMeant(each) && each.users.length === 0 && matches(each))) {
    const size = await diskUsage(volume.path);
    if (await isRemoved(host, volume.name)) {
      bytes += size;
      names.push(volume.name);
    }
  }
  reply.json({ VolumesDeleted: names, SpaceReclaimed: bytes });
};

/** False for one that got a user meanwhile, or that another prune removed. */
const isRemoved = async (host: Host, name: string): Promise<boolean> => {
  try {
    await host.objects.removeVolume(name);
    return true;
  } catch (error) {
    if (error instanceof HyprError && (error.code === 'VOLUME_IN_USE' || error.code === 'NOT_FOUND')) {
      return false;
    }
    throw error;
  }
};

const tell = (host: Host, action: string, name: string): void =>
  host.events.tell({ type: 'volume', action, id: name, attributes: { driver: 'local' } });
