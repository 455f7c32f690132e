import { posix } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import type { ImageRuntime } from '../../builder/model/types.ts';
import { isDockerSocket, readDockerAccess } from '../../compose/model/docker-access.ts';
import type { FileObject, FileReference, MountConfig, Project, Service } from '../../compose/model/model.ts';
import { readMountMode } from '../../compose/model/mount-mode.ts';
import { parseBytes } from '../../compose/model/units.ts';
import type { ReplicaFile, ReplicaMount } from '../model/spec.ts';
import { fileSource } from './file-content.ts';
import { type VolumeDevice, volumeDevice } from './volume-device.ts';

interface MountInput {
  readonly project: Project;
  readonly serviceName: string;
  readonly service: Service;
  readonly image: ImageRuntime;
}

/**
 * Mounts of the file, `tmpfs:`, and an anonymous volume for each VOLUME of the image that nothing else is mounted on;
 * parents before children.
 */
export const resolveMounts = ({ project, serviceName, service, image }: MountInput): ReplicaMount[] => {
  const mounts = (service.volumes ?? []).map(
    (mount) => resolveDocker(serviceName, service, mount) ?? resolveMount({ project, serviceName, service }, mount),
  );
  for (const entry of service.tmpfs ?? []) {
    mounts.push(parseTmpfs(entry));
  }
  const covered = new Set(mounts.map((mount) => mount.target));
  for (const path of Object.keys(image.Volumes)) {
    const target = cleanTarget(path);
    if (!covered.has(target)) {
      mounts.push({ kind: 'anonymous', target, readOnly: false });
    }
  }
  return mounts.sort((a, b) => a.target.split('/').length - b.target.split('/').length || (a.target < b.target ? -1 : 1));
};

/** Throws HYPR_UNSUPPORTED, with its place in the file, for a mount of a type that no machine can have. */
export const refuseMounts = (serviceName: string, service: Service): void => {
  for (const [index, { type }] of (service.volumes ?? []).entries()) {
    if (!['bind', 'volume', 'tmpfs', 'image'].includes(type)) {
      throw new HyprError('HYPR_UNSUPPORTED', `service ${serviceName}: mounts of type ${type} are not supported`, {
        path: ['services', serviceName, 'volumes', String(index)],
        hint: 'use a bind mount or a named volume',
      });
    }
  }
};

/** Undefined for another mount than that of docker's socket. */
const resolveDocker = (serviceName: string, service: Service, { type, source = '', target }: MountConfig): ReplicaMount | undefined => {
  if (type !== 'bind' || !isDockerSocket(source)) {
    return undefined;
  }
  const access = readDockerAccess(service['x-hypr']);
  if (typeof access !== 'string') {
    throw new HyprError('COMPOSE_INVALID', `service ${serviceName}: x-hypr.docker ${access.fault}`, {
      path: ['services', serviceName, 'x-hypr'],
    });
  }
  return { kind: 'docker', target: cleanTarget(target), readOnly: false, access };
};

const resolveMount = ({ project, serviceName, service }: Omit<MountInput, 'image'>, mount: MountConfig): ReplicaMount => {
  const target = cleanTarget(mount.target);
  const readOnly = mount.read_only ?? false;
  switch (mount.type) {
    case 'bind':
      return {
        ...{ kind: 'bind', source: mount.source ?? '', target, readOnly, create: mount.bind?.create_host_path ?? true },
        ...syncedBy(mount, service),
      };
    case 'image':
      return { kind: 'image', image: mount.source ?? '', imageId: '', target, readOnly: true, subpath: mount.image?.subpath };
    case 'tmpfs':
      return {
        kind: 'tmpfs',
        target,
        readOnly,
        size: mount.tmpfs?.size === undefined ? undefined : parseBytes(String(mount.tmpfs.size)),
        mode: mount.tmpfs?.mode,
      };
    case 'volume': {
      if (mount.source === undefined || mount.source === '') {
        return { kind: 'anonymous', target, readOnly };
      }
      const config = project.volumes[mount.source];
      const device = volumeDevice(config);
      const seed = mount.volume?.nocopy !== true;
      if (device.kind === 'own') {
        return { kind: 'volume', volume: config?.name ?? mount.source, target, readOnly, subpath: mount.volume?.subpath, seed };
      }
      return fromDevice(device, { target, readOnly: readOnly || device.readOnly, seed, subpath: mount.volume?.subpath });
    }
    default:
      throw new HyprError('HYPR_UNSUPPORTED', `service ${serviceName}: mounts of type ${mount.type} are not supported`);
  }
};

/** The mount's own setting goes before the service's. */
const syncedBy = (mount: MountConfig, service: Service): { readonly synced?: 'folder' | 'any' } => {
  const own = readMountMode(mount['x-hypr']);
  if (own !== undefined) {
    return own === 'synced' ? { synced: 'folder' } : {};
  }
  return readMountMode(service['x-hypr']) === 'synced' ? { synced: 'any' } : {};
};

/** A volume with such a device is a bind mount in each service that uses it. As in docker, its folder must exist. */
const fromDevice = (
  device: Exclude<VolumeDevice, { kind: 'own' }>,
  use: { target: string; readOnly: boolean; seed: boolean; subpath: string | undefined },
): ReplicaMount => {
  const { target, readOnly, seed, subpath } = use;
  if (device.kind === 'tmpfs') {
    return { kind: 'tmpfs', target, readOnly, size: device.size, mode: device.mode };
  }
  const source = subpath === undefined ? device.source : posix.join(device.source, posix.join('/', subpath));
  return { kind: 'bind', source, target, readOnly, create: false, ...(seed ? { seed } : {}) };
};

const cleanTarget = (target: string): string => {
  const clean = posix.normalize(posix.join('/', target));
  return clean.length > 1 && clean.endsWith('/') ? clean.slice(0, -1) : clean;
};

/** `/run:size=64m,mode=755` as in `docker run --tmpfs`. */
const parseTmpfs = (entry: string): ReplicaMount => {
  const [path = '/', options = ''] = entry.split(':');
  const set = new Map(options.split(',').map((option) => option.split('=') as [string, string | undefined]));
  const size = set.get('size');
  const mode = set.get('mode');
  return {
    kind: 'tmpfs',
    target: cleanTarget(path),
    readOnly: set.has('ro'),
    size: size === undefined ? undefined : parseBytes(size),
    mode: mode === undefined ? undefined : Number.parseInt(mode, 8),
  };
};

/** Secrets go to /run/secrets/NAME and configs to /NAME unless the file says otherwise; 0444 root as docker does. */
export const resolveFiles = (project: Project, serviceName: string, service: Service): ReplicaFile[] => [
  ...(service.secrets ?? []).map((use) =>
    resolveFile({ kind: 'secret', use, objects: project.secrets, folder: '/run/secrets', serviceName }),
  ),
  ...(service.configs ?? []).map((use) => resolveFile({ kind: 'config', use, objects: project.configs, folder: '/', serviceName })),
];

interface FileInput {
  readonly kind: string;
  readonly use: FileReference;
  readonly objects: Readonly<Record<string, FileObject>>;
  readonly folder: string;
  readonly serviceName: string;
}

const resolveFile = ({ kind, use, objects, folder, serviceName }: FileInput): ReplicaFile => {
  const object = objects[use.source];
  if (object === undefined || object.external === true) {
    throw new HyprError('EXTERNAL_NOT_FOUND', `service ${serviceName} uses ${kind} ${use.source}, which is external`, {
      hint: `hypr keeps no ${kind}s outside a project: give it a file, a content or an environment variable`,
    });
  }
  const source = fileSource(object);
  if (source === undefined) {
    const ways = kind === 'config' ? 'file|environment|content' : 'file|environment';
    throw new HyprError('COMPOSE_INVALID', `${kind}s.${use.source}: one of ${ways} must be set`, {
      path: [`${kind}s`, use.source],
      ...(kind === 'config' ? { hint: "for an empty file: content: ''" } : {}),
    });
  }
  const target = use.target ?? use.source;
  return {
    source,
    path: cleanTarget(target.startsWith('/') ? target : posix.join(folder, target)),
    mode: use.mode === undefined ? 0o444 : Number.parseInt(String(use.mode), 8),
    uid: Number(use.uid ?? 0),
    gid: Number(use.gid ?? 0),
  };
};
