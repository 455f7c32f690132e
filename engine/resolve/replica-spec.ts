import { posix } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import type { ImageRuntime } from '../../builder/model/types.ts';
import { resolveCards } from '../../compose/model/card-wishes.ts';
import { readEgress } from '../../compose/model/egress.ts';
import { readIsolation } from '../../compose/model/isolation.ts';
import type { HookConfig, Project, Service } from '../../compose/model/model.ts';
import { readNested } from '../../compose/model/nested.ts';
import { readRestartUnhealthy } from '../../compose/model/restart-unhealthy.ts';
import { parseBytes, parseDuration } from '../../compose/model/units.ts';
import type { ProcessSpec } from '../../guest/types.ts';
import { OUTBOUND_PORT } from '../../net/defaults.ts';
import { replicaName } from '../model/names.ts';
import { signalNumber } from '../model/signals.ts';
import type { HealthSpec, HookSpec, ReplicaSpec } from '../model/spec.ts';
import { AUTO_REMOVE, PUBLISH_ALL, STDIN_ONCE, TERMINAL_SIZE } from '../model/spec.ts';
import { writableLayerOf } from './disk-size.ts';
import { resolveEnvironment } from './environment.ts';
import { memoryOf, resolveRestart, vcpusOf } from './limits.ts';
import { resolveFiles, resolveMounts } from './mounts.ts';
import { publishExposed, resolveNetworks, resolvePorts } from './networks.ts';
import { refuseBadName, refuseBesideIsolation, refuseUnsupported } from './refuse.ts';
import { resolveSharedMachine } from './shared-machine.ts';

export interface ResolveInput {
  readonly project: Project;
  readonly service: string;
  readonly number: number;
  readonly image: { readonly reference: string; readonly config: ImageRuntime };
  /** A one-off's overrides are already merged into `project`; its name differs. */
  readonly name?: string;
}

/**
 * Resolves a service and its image into the spec of one replica. Pure. As in docker, the Compose file overrides the
 * image. Throws HYPR_UNSUPPORTED for attributes that a machine per service cannot support.
 */
export const resolveReplica = (input: ResolveInput): ReplicaSpec => {
  const { project, number } = input;
  const service = serviceOf(project, input.service);
  refuseUnsupported(input.service, service);
  const name = input.name ?? service.container_name ?? replicaName(project, input.service, number);
  refuseBadName(input.service, name);
  const exposed = exposedOf(service, input.image.config);
  const ports = resolvePorts(service, number);
  const shares = resolveSharedMachine(project, input.service);
  const diskMib = writableLayerOf(input.service, service);
  const mounts = resolveMounts({ project, serviceName: input.service, service, image: input.image.config });
  return {
    service: input.service,
    number,
    name,
    hostname: service.hostname ?? name.slice(0, 63),
    domainname: service.domainname,
    image: input.image.reference,
    process: resolveProcess(project.name, service, input.image.config),
    stopSignal: signalNumber(service.stop_signal ?? input.image.config.StopSignal ?? 'SIGTERM'),
    stopGraceMs: service.stop_grace_period === undefined ? 10_000 : parseDuration(service.stop_grace_period),
    vcpus: vcpusOf(service),
    memoryMib: memoryOf(service),
    ...(diskMib === undefined ? {} : { diskMib }),
    networks: resolveNetworks(project, input.service, service),
    ports: service[PUBLISH_ALL] === true ? [...ports, ...publishExposed(exposed, ports)] : ports,
    exposed,
    mounts,
    files: resolveFiles(project, input.service, service),
    health: resolveHealth(input.service, service, input.image.config),
    restart: resolveRestart(service),
    ...(readRestartUnhealthy(service['x-hypr'], service.labels) === true ? { restartUnhealthy: true as const } : {}),
    ...(readNested(service['x-hypr'], service.devices) === true ? { nested: true as const } : {}),
    ...resolveCards(input.service, service),
    ...resolveHooks(input.service, service),
    extraHosts: (service.extra_hosts ?? []).map(parseExtraHost),
    ...resolveLinks(project, input.service, service),
    ...resolveOutside(input.service, service),
    ...(shares === undefined ? {} : { shares }),
    dns: service.dns ?? [],
    dnsSearch: service.dns_search ?? [],
    dnsOptions: service.dns_opt ?? [],
    sysctls: Object.fromEntries(Object.entries(service.sysctls ?? {}).map(([key, value]) => [key, String(value)])),
    readOnly: service.read_only ?? false,
    shmSize: service.shm_size === undefined ? undefined : parseBytes(String(service.shm_size)),
    labels: { ...input.image.config.Labels, ...service.labels },
    ...(service[AUTO_REMOVE] === true ? { autoRemove: 'ended' as const } : {}),
    ...(service[STDIN_ONCE] === true ? { stdinOnce: true } : {}),
  };
};

const serviceOf = (project: Project, name: string): Service => {
  const service = project.services[name];
  if (service === undefined) {
    throw new HyprError('COMPOSE_NO_SERVICE', `no such service: ${name}`);
  }
  return service;
};

/** Absent where there is nothing special, so that a service without rules stays the same service. */
const resolveOutside = (name: string, service: Service): Pick<ReplicaSpec, 'egress' | 'isolated'> => {
  const isolated = readIsolation(service['x-hypr']);
  const egress = isolated ?? readEgress(service['x-hypr']);
  if (egress !== undefined && 'fault' in egress) {
    throw new HyprError('COMPOSE_INVALID', `service ${name}: x-hypr.${egress.key} ${egress.fault}`, { path: ['services', name, 'x-hypr'] });
  }
  if (egress === undefined || 'allow' in egress) {
    return egress === undefined ? {} : { egress };
  }
  refuseBesideIsolation(name, service);
  return { isolated: egress };
};

const resolveProcess = (stack: string, service: Service, image: ImageRuntime): ProcessSpec => {
  const entrypoint = service.entrypoint ?? image.Entrypoint ?? [];
  // As in docker, an entrypoint in the Compose file drops the image's command.
  const command = service.command ?? (service.entrypoint ? [] : (image.Cmd ?? []));
  const limits = Object.entries(service.ulimits ?? {}).map(
    ([key, value]) => [key, typeof value === 'number' ? { soft: value, hard: value } : value] as const,
  );
  return {
    args: [...entrypoint, ...command],
    env: withProxy(service, resolveEnvironment(stack, image.Env, service.environment ?? {})),
    cwd: service.working_dir ?? (image.WorkingDir === '' ? '/' : image.WorkingDir),
    user: service.user ?? image.User,
    groups: (service.group_add ?? []).map(String),
    tty: service.tty ?? false,
    stdin: service.stdin_open ?? false,
    ...(service[TERMINAL_SIZE] === undefined ? {} : { size: service[TERMINAL_SIZE] as { columns: number; rows: number } }),
    ...(limits.length > 0 ? { limits: Object.fromEntries(limits) } : {}),
    privileged: service.privileged ?? false,
    capAdd: service.cap_add ?? [],
    capDrop: service.cap_drop ?? [],
    ...(service.init === true ? { init: true } : {}),
    ...((service.security_opt ?? []).some((option) => NO_NEW_PRIVILEGES.test(option)) ? { noNewPrivileges: true } : {}),
  };
};

/** With or without a value, after either separator, as docker accepts it. */
const NO_NEW_PRIVILEGES = /^no-new-privileges([:=]true)?$/;

const resolveHealth = (name: string, service: Service, image: ImageRuntime): HealthSpec | undefined => {
  const own = service.healthcheck;
  if (own?.disable === true) {
    return undefined;
  }
  const test = own?.test ?? image.Healthcheck?.Test ?? [];
  const [kind, ...rest] = test;
  if (kind === undefined || kind === 'NONE') {
    return undefined;
  }
  const args = kind === 'CMD-SHELL' ? [...(image.Shell ?? ['/bin/sh', '-c']), rest.join(' ')] : kind === 'CMD' ? rest : [...test];
  if (own?.start_interval !== undefined && own.start_period === undefined) {
    throw new HyprError('COMPOSE_INVALID', `service ${name}: healthcheck.start_interval requires healthcheck.start_period to be set`, {
      path: ['services', name, 'healthcheck', 'start_interval'],
      hint: 'add start_period: the time in which checks are made at start_interval',
    });
  }
  // As in docker, zero means the default.
  const time = (text: string | undefined, nanoseconds: number | undefined, fallback: number): number =>
    (text === undefined ? (nanoseconds ?? 0) / 1e6 : parseDuration(text)) || fallback;
  return {
    args,
    interval: time(own?.interval, image.Healthcheck?.Interval, 30_000),
    timeout: time(own?.timeout, image.Healthcheck?.Timeout, 30_000),
    startPeriod: time(own?.start_period, image.Healthcheck?.StartPeriod, 0),
    startInterval: time(own?.start_interval, image.Healthcheck?.StartInterval, 5_000),
    retries: own?.retries || image.Healthcheck?.Retries || 3,
  };
};

const resolveHooks = (
  name: string,
  { post_start: postStart = [], pre_stop: preStop = [], pre_start: preStart = [] }: Service,
): Pick<ReplicaSpec, 'hooks' | 'preStart'> => {
  const resolve = (hooks: readonly HookConfig[], attribute: string) => hooks.map((hook) => resolveHook(hook, name, attribute));
  return {
    ...(preStart.length === 0 ? {} : { preStart }),
    ...(postStart.length + preStop.length === 0
      ? {}
      : { hooks: { postStart: resolve(postStart, 'post_start'), preStop: resolve(preStop, 'pre_stop') } }),
  };
};

const resolveHook = (hook: HookConfig, name: string, attribute: string): HookSpec => {
  if (!hook.command?.length) {
    throw new HyprError('COMPOSE_INVALID', `service ${name}: ${attribute}: a hook has no command`, { path: ['services', name, attribute] });
  }
  return {
    args: hook.command,
    env: Object.entries(hook.environment ?? {}).flatMap(([key, value]) => (value === null ? [] : [`${key}=${value}`])),
    user: hook.user || undefined,
    workdir: hook.working_dir || undefined,
    privileged: hook.privileged ?? false,
  };
};

/** Programs of an isolated service find its proxy by these, unless the file or the image sets one of them. */
const withProxy = (service: Service, env: string[]): string[] => {
  const isolated = readIsolation(service['x-hypr']);
  if (isolated === undefined || 'fault' in isolated || isolated.outbound.length === 0) {
    return env;
  }
  const url = `http://127.0.0.1:${OUTBOUND_PORT}`;
  const wanted = { http_proxy: url, https_proxy: url, no_proxy: 'localhost,127.0.0.1,::1' };
  const set = new Set(env.map((entry) => entry.split('=', 1)[0]?.toLowerCase()));
  const missing = Object.entries(wanted).filter(([name]) => !set.has(name));
  return [...env, ...missing.flatMap(([name, value]) => [`${name}=${value}`, `${name.toUpperCase()}=${value}`])];
};

/** `db:database` gives db a second name for this service alone; without an alias it is a plain dependency. */
const resolveLinks = (project: Project, name: string, { links }: Service): Pick<ReplicaSpec, 'links'> => {
  const entries = (Array.isArray(links) ? links.map(String) : []).map((link) => link.split(':'));
  const [unreachable] = entries.find(([target = '']) => readIsolation(project.services[target]?.['x-hypr']) !== undefined) ?? [];
  if (unreachable !== undefined) {
    throw new HyprError('HYPR_UNSUPPORTED', `service ${name}: links: ${unreachable} is isolated, so that no other service reaches it`, {
      path: ['services', name, 'links'],
    });
  }
  const aliases = entries.flatMap(([service = '', alias]) => (alias === undefined || alias === service ? [] : [[alias, service] as const]));
  return aliases.length === 0 ? {} : { links: Object.fromEntries(aliases) };
};

const exposedOf = (service: Service, { ExposedPorts }: ImageRuntime): string[] =>
  [...new Set([...(service.expose ?? []), ...Object.keys(ExposedPorts)].map(withProtocol))].sort();

const withProtocol = (port: string): string => (port.includes('/') ? port : `${port}/tcp`);

const parseExtraHost = (entry: string): { address: string; names: string[] } => {
  const at = entry.includes('=') ? entry.indexOf('=') : entry.indexOf(':');
  return { address: entry.slice(at + 1), names: [posix.normalize(entry.slice(0, at))] };
};
