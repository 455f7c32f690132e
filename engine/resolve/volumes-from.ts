import { posix } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { shortHash } from '../../base/paths.ts';
import type { Image } from '../../builder/model/types.ts';
import type { MountConfig, Project, Service } from '../../compose/model/model.ts';
import { separatorOf } from '../model/names.ts';
import { ANONYMOUS_LABEL } from '../model/volume-name.ts';

interface Donation {
  readonly donor: string;
  readonly readOnly: boolean;
}

/** Entries of `volumes_from`: `SERVICE[:ro]`. */
const donations = (service: Service | undefined): Donation[] =>
  (Array.isArray(service?.volumes_from) ? service.volumes_from.map(String) : []).flatMap((entry) => {
    const [donor = '', mode] = entry.split(':');
    return donor === 'container' ? [] : [{ donor, readOnly: mode === 'ro' }];
  });

/** The services whose volumes these share, and those whose volumes they share. */
export const donorsOf = (project: Project, services: readonly string[]): string[] => {
  const found = new Set<string>();
  for (let next = [...services]; next.length > 0; ) {
    next = next.flatMap((name) => donations(project.services[name]).map(({ donor }) => donor)).filter((name) => !found.has(name));
    for (const name of next) {
      found.add(name);
    }
  }
  return [...found].filter((name) => project.services[name] !== undefined);
};

/** Throws HYPR_UNSUPPORTED for volumes of a machine that is not of this file. */
export const refuseForeignVolumes = (name: string, service: Service): void => {
  const entries = Array.isArray(service.volumes_from) ? service.volumes_from.map(String) : [];
  const index = entries.findIndex((entry) => entry.startsWith('container:'));
  if (index >= 0) {
    throw new HyprError(
      'HYPR_UNSUPPORTED',
      `service ${name}: volumes_from: ${entries[index]} is not supported: it names no service of this file that is enabled`,
      {
        path: ['services', name, 'volumes_from', String(index)],
        hint: 'enable the profile of its service; or give both a volume by name: hypr volume create NAME, and `external: true` in the file',
      },
    );
  }
};

/**
 * The model with `volumes_from` carried out: a service has the volumes and bind mounts of the services that it names, where it has
 * none of its own, and so on along the chain. Anonymous volumes of a service that shares them, those of its image included, get a name,
 * because a disk is one machine's. Pure.
 */
export const withSharedVolumes = (project: Project, images: Readonly<Record<string, Image>>): Project => {
  const givers = new Set(Object.values(project.services).flatMap((service) => donations(service).map(({ donor }) => donor)));
  if (givers.size === 0) {
    return project;
  }
  const volumes = { ...project.volumes };
  const services = { ...project.services };
  for (const name of givers) {
    const service = services[name];
    if (service !== undefined) {
      services[name] = { ...service, volumes: named(name, service, images[name], { project, volumes }) };
    }
  }
  const done = new Set<string>();
  const share = (name: string): readonly MountConfig[] => {
    const service = services[name];
    if (service === undefined || done.has(name)) {
      return service?.volumes ?? [];
    }
    done.add(name);
    const own = [...(service.volumes ?? [])];
    for (const { donor, readOnly } of donations(service)) {
      const taken = new Set([
        ...own.map(({ target }) => clean(target)),
        ...(service.tmpfs ?? []).map((entry) => clean(entry.split(':')[0] ?? '')),
      ]);
      const given = share(donor).filter(({ type, target }) => type !== 'tmpfs' && !taken.has(clean(target)));
      own.push(...given.map((mount) => (readOnly ? { ...mount, read_only: true } : mount)));
    }
    services[name] = { ...service, volumes: own };
    return own;
  };
  for (const name of Object.keys(services)) {
    share(name);
  }
  return { ...project, services, volumes };
};

/** The mounts of a service that others share, its anonymous volumes by a name that is added to `volumes`. */
const named = (
  name: string,
  service: Service,
  image: Image | undefined,
  { project, volumes }: { project: Project; volumes: Project['volumes'] },
): MountConfig[] => {
  const own = service.volumes ?? [];
  const taken = new Set([
    ...own.map(({ target }) => clean(target)),
    ...(service.tmpfs ?? []).map((entry) => clean(entry.split(':')[0] ?? '')),
  ]);
  const ofImage = Object.keys(image?.config.Volumes ?? {})
    .map(clean)
    .filter((target) => !taken.has(target))
    .map((target): MountConfig => ({ type: 'volume', target }));
  return [...own, ...ofImage].map((mount) => {
    if (mount.type !== 'volume' || mount.source) {
      return mount;
    }
    const key = `${name}.${shortHash(clean(mount.target), 12)}`;
    volumes[key] = { name: `${project.name}${separatorOf(project)}${key}`, labels: { [ANONYMOUS_LABEL]: '' } };
    return { ...mount, source: key };
  });
};

const clean = (target: string): string => posix.join('/', target).replace(/(.)\/$/, '$1');
