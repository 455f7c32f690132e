import { create, toJson } from '@bufbuild/protobuf';
import { HyprError } from '../../../base/errors.ts';
import type { MountConfig, PortConfig } from '../../../compose/model/model.ts';
import type { NetworkChange, ReplicaUpdate } from '../../model/object-types.ts';
import type { DownOptions, ExecOptions, LogsOptions, RunOptions, ServiceVerb, UpOptions, VerbOptions } from '../../model/types.ts';
import { readRestart } from '../../resolve/limits.ts';
import * as pb from '../gen/hypr_pb.ts';

/**
 * Reads a client's requests. Connect has already checked them against the schema; this checks that required values are
 * present and make sense. Throws HYPR_USAGE. engine/api/messages/requests.ts is the other direction.
 */

export const upOptions = (message: pb.UpOptions | undefined): UpOptions => {
  const given = plain(message ?? create(pb.UpOptionsSchema));
  for (const [service, count] of Object.entries(given.scale)) {
    atLeast(0, count, `scale of ${service}`);
  }
  return { ...given, pull: nameOf(pb.Pull, given.pull, 'policy'), ...times(given) };
};

export const downOptions = (message: pb.DownOptions | undefined): DownOptions => {
  const given = plain(message ?? create(pb.DownOptionsSchema));
  const removeImages = nameOf<DownOptions['removeImages']>(pb.DownOptions_RemoveImages, given.removeImages, 'none');
  return { ...given, removeImages, timeout: times(given).timeout };
};

export const verbOptions = (message: pb.VerbOptions | undefined): VerbOptions => {
  const given = plain(message ?? create(pb.VerbOptionsSchema));
  return { ...given, signal: given.signal, ...times(given) };
};

export const needVerb = (verb: pb.VerbRequest_Verb): ServiceVerb => {
  const all = Object.values(pb.VerbRequest_Verb).filter((each) => typeof each === 'string' && each !== 'UNSPECIFIED');
  const name = pb.VerbRequest_Verb[verb];
  if (name === undefined || !all.includes(name)) {
    throw new HyprError('HYPR_USAGE', `the request needs a verb, what to do to services: VERB_${all.join(', VERB_')}`);
  }
  return name.toLowerCase() as ServiceVerb;
};

export const networkChange = ({ network, replica, connect }: pb.ChangeNetworkRequest): NetworkChange => {
  if (network === '' || replica === '') {
    throw new HyprError('HYPR_USAGE', 'the request needs a network and a replica');
  }
  const wanted = connect && { address: connect.address, address6: connect.address6, aliases: [...connect.aliases] };
  return { name: network, replica, wanted };
};

export const replicaUpdate = ({ restart, memory, cpus }: pb.UpdateReplicaRequest): ReplicaUpdate => {
  const sizes = [memory, cpus].filter((size) => size !== undefined);
  if (sizes.some((size) => !(Number.isFinite(size) && size > 0))) {
    throw new HyprError('HYPR_USAGE', 'memory and cpus have to be more than nothing');
  }
  return {
    ...(restart === undefined ? {} : { restart: readRestart(restart) }),
    ...(memory === undefined ? {} : { memory }),
    ...(cpus === undefined ? {} : { cpus }),
  };
};

export const execOptions = (start: pb.ExecStart): ExecOptions => {
  const { user, workdir, ...given } = plain(start);
  if (given.service === '' || given.args.length === 0) {
    throw new HyprError('HYPR_USAGE', 'an exec needs a service and args, the program with its arguments');
  }
  return { ...given, user, workdir, index: start.index, size: sizeOf(start.size) };
};

/** Which replica is meant. */
export const placeOf = (start: {
  readonly service: string;
  readonly index?: number | undefined;
}): Pick<ExecOptions, 'service' | 'index'> => {
  if (start.service === '') {
    throw new HyprError('HYPR_USAGE', 'the request needs a service');
  }
  return { service: start.service, index: start.index };
};

export const runOptions = (message: pb.RunOptions | undefined): RunOptions => {
  const given = plain(message ?? create(pb.RunOptionsSchema));
  if (given.service === '') {
    throw new HyprError('HYPR_USAGE', 'a run needs a service');
  }
  return {
    ...given,
    name: given.name,
    user: given.user,
    workdir: given.workdir,
    entrypoint: given.entrypoint?.args,
    volumes: given.volumes.map(mountOf),
    ports: given.ports.map(portOf),
    size: sizeOf(given.size),
    remove: nameOf<RunOptions['remove']>(pb.RunOptions_Remove, given.remove, 'no'),
    pull: nameOf(pb.Pull, given.pull, 'policy'),
  };
};

export const logsOptions = (request: pb.LogsRequest): LogsOptions => {
  const { services, follow, tail, since, until } = request;
  const { index, earlier } = request;
  return { services, follow, since, until, tail: tail === undefined ? undefined : atLeast(0, tail, 'tail'), index, earlier };
};

/** Size of a terminal; undefined without columns or rows. */
export const sizeOf = (size: pb.Size | undefined): { columns: number; rows: number } | undefined =>
  size && {
    columns: Math.min(atLeast(1, size.columns, 'columns of a terminal'), MAX_SIZE),
    rows: Math.min(atLeast(1, size.rows, 'rows of a terminal'), MAX_SIZE),
  };

const MAX_SIZE = 65_535;

/** Removes the markers that protobuf-es adds. */
const plain = <T extends { $typeName: string; $unknown?: unknown }>(message: T): Omit<T, '$typeName' | '$unknown'> => {
  const { $typeName, $unknown, ...values } = message;
  return values;
};

/** ALWAYS as `always`. */
const nameOf = <V extends string>(names: Readonly<Record<number, string>>, value: number, unspecified: V): V =>
  value === 0 ? unspecified : ((names[value]?.toLowerCase() ?? unspecified) as V);

/** Seconds. JSON and gRPC can express infinity, which a timer cannot wait for. */
const times = (given: {
  timeout?: number | undefined;
  waitTimeout?: number | undefined;
}): { timeout: number | undefined; waitTimeout: number | undefined } => {
  const { timeout, waitTimeout } = given;
  for (const seconds of [timeout, waitTimeout]) {
    if (seconds !== undefined && !Number.isFinite(seconds)) {
      throw new HyprError('HYPR_USAGE', `a time of ${seconds} seconds cannot be waited for`);
    }
  }
  return { timeout, waitTimeout };
};

const atLeast = (least: number, value: number, what: string): number => {
  if (value < least) {
    throw new HyprError('HYPR_USAGE', `${what} is ${value}; the least is ${least}`);
  }
  return value;
};

const mountOf = (mount: pb.Mount): MountConfig => {
  const config = toJson(pb.MountSchema, mount) as MountConfig;
  if (!MOUNT_TYPES.includes(mount.type) || mount.target === '') {
    throw new HyprError('HYPR_USAGE', `a mount needs a target and a type (${MOUNT_TYPES.join(', ')})`);
  }
  return config;
};

const MOUNT_TYPES: readonly string[] = ['bind', 'volume', 'tmpfs', 'image', 'npipe', 'cluster'] satisfies MountConfig['type'][];

const portOf = (port: pb.PublishedPort): PortConfig => {
  atLeast(1, port.target, 'target of a port');
  return toJson(pb.PublishedPortSchema, port) as PortConfig;
};
