import { randomBytes } from 'node:crypto';
import { HyprError } from '../../base/errors.ts';
import type { MountConfig, PortConfig, Project, Service, VolumeConfig } from '../../compose/model/model.ts';
import { separatorOf } from '../model/names.ts';
import type { RunOptions, UpOptions } from '../model/types.ts';
import { unknownService } from './dependencies.ts';

/** A one-off in a plan: an extra replica of its service, beside the ordinary ones. */
export interface OneOff {
  readonly options: RunOptions;
  readonly name: string;
  /** The model with the options of `run` applied to the service. */
  readonly project: Project;
}

/**
 * Applies the options of `run` to the model as docker compose does: only explicitly requested ports are published,
 * nothing restarts, and command line values override the file's. Throws COMPOSE_NO_SERVICE. Pure except for the
 * generated name.
 */
export const describeOneOff = (project: Project, options: RunOptions): OneOff => {
  const service = project.services[options.service];
  if (service === undefined) {
    throw unknownService(project, options.service);
  }
  const name = options.name ?? [project.name, options.service, 'run', randomBytes(6).toString('hex')].join(separatorOf(project));
  const volumes = options.volumes.flatMap((mount) => undeclaredVolume(project, mount));
  return {
    options,
    name,
    project: {
      ...project,
      services: { ...project.services, [options.service]: applyOptions(service, options) },
      volumes: { ...project.volumes, ...Object.fromEntries(volumes.map((volume) => [volume.name, volume])) },
    },
  };
};

const applyOptions = (service: Service, options: RunOptions): Service => {
  const { container_name: _name, scale: _scale, restart, deploy, ...rest } = service;
  const replaced = new Set(options.volumes.map((mount) => mount.target));
  const ports: PortConfig[] = [...(options.servicePorts ? (service.ports ?? []) : []), ...options.ports];
  const mounts: MountConfig[] = [...(service.volumes ?? []).filter((mount) => !replaced.has(mount.target)), ...options.volumes];
  return {
    ...rest,
    ...(options.ordinary && restart !== undefined ? { restart } : {}),
    ...(deploy === undefined ? {} : { deploy: withoutRestarts(deploy) }),
    ...commandOf(options),
    environment: { ...service.environment, ...options.env },
    labels: { ...service.labels, ...options.labels },
    ports,
    volumes: mounts,
    tty: options.tty,
    stdin_open: options.stdin,
    ...(options.user === undefined ? {} : { user: options.user }),
    ...(options.workdir === undefined ? {} : { working_dir: options.workdir }),
    ...capabilities(service, options),
  };
};

const withoutRestarts = (deploy: NonNullable<Service['deploy']>): NonNullable<Service['deploy']> => {
  const { restart_policy: _policy, replicas: _replicas, ...rest } = deploy;
  return rest;
};

/** An entrypoint on the command line drops the command of file and image. */
const commandOf = (options: RunOptions): Pick<Service, 'command' | 'entrypoint'> => {
  const command = options.args.length > 0 ? { command: [...options.args] } : {};
  return options.entrypoint === undefined ? command : { entrypoint: [...options.entrypoint], command: [...options.args] };
};

/** A capability that is added is no longer dropped, and vice versa. */
const capabilities = (service: Service, { capAdd, capDrop }: RunOptions): Pick<Service, 'cap_add' | 'cap_drop'> =>
  capAdd.length === 0 && capDrop.length === 0
    ? {}
    : {
        cap_add: [...new Set([...(service.cap_add ?? []).filter((cap) => !capDrop.includes(cap)), ...capAdd])],
        cap_drop: [...new Set([...(service.cap_drop ?? []).filter((cap) => !capAdd.includes(cap)), ...capDrop])],
      };

/** `-v data:/data` with a volume the file does not declare creates a volume with exactly that name, as docker does. */
const undeclaredVolume = (project: Project, mount: MountConfig): VolumeConfig[] => {
  const { source } = mount;
  return mount.type === 'volume' && source !== undefined && source !== '' && project.volumes[source] === undefined
    ? [{ name: source }]
    : [];
};

/** Throws when a replica already has the name. */
export const refuseTakenName = (name: string, taken: { has(name: string): boolean }): void => {
  if (taken.has(name)) {
    throw new HyprError('HYPR_USAGE', `the name ${name} is taken`, { hint: 'give another --name, or remove the replica that has it' });
  }
};

/** `up` for the dependencies of a one-off; replicas that are up to date stay as they are. */
export const oneOffUpOptions = (options: RunOptions): UpOptions => ({
  services: [options.service],
  build: options.build,
  noBuild: false,
  pull: options.pull,
  forceRecreate: false,
  noRecreate: false,
  alwaysRecreateDeps: false,
  renewAnonVolumes: false,
  noDeps: options.noDeps,
  noStart: false,
  removeOrphans: options.removeOrphans,
  ignoreOrphans: options.ignoreOrphans,
  scale: {},
  timeout: undefined,
  wait: false,
  waitTimeout: undefined,
});
