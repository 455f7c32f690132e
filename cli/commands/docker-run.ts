import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { portsOf } from '../../compose/index.ts';
import type { Project, Service } from '../../compose/model/model.ts';
import { parseBytes } from '../../compose/model/units.ts';
import { RUN_DEFAULTS } from '../../engine/model/option-defaults.ts';
import { PUBLISH_ALL } from '../../engine/model/spec.ts';
import type { RunOptions } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import type { Flags } from '../core/flags.ts';
import { type RunInput, runOneOff } from '../session/run-session.ts';
import { detachKeysOf, sizeOf } from '../session/session.ts';
import { takeLatePorts } from './late-ports.ts';
import { environmentOf, readVariables, sharedOptions } from './run.ts';
import { readGpus } from './run-gpus.ts';
import { readMount } from './run-mounts.ts';
import { networksOfRun } from './run-networks.ts';

const PULL = ['always', 'missing', 'never'] as const;

/** `run IMAGE`: creates a stack with one service. With --rm the stack is removed at the end; else it stays as `-p NAME`. */
export const runDockerRun: Handler = async (invocation) => {
  const { context, flags } = invocation;
  const detachKeys = detachKeysOf(flags);
  const { project, options, shows } = await prepare(invocation);
  const cidfile = flags.string('cidfile');
  const file = cidfile === undefined ? undefined : resolve(context.cwd, cidfile);
  if (file !== undefined && existsSync(file)) {
    throw new HyprError('HYPR_USAGE', `container ID file found, make sure the other container isn't running or delete ${cidfile}`);
  }
  const onCreated = file === undefined ? undefined : (id: string): Promise<void> => writeFile(file, id, { flag: 'wx' });
  return runOneOff(invocation, { project, options, detachKeys, shows, onCreated });
};

/** What an image and docker's flags are to the engine. Throws HYPR_USAGE, HYPR_UNSUPPORTED. */
export const prepare = async (invocation: Invocation): Promise<Pick<RunInput, 'project' | 'options' | 'shows'>> => {
  const { context, args, flags } = invocation;
  const [image = '', ...rest] = args;
  const late = takeLatePorts(rest);
  checkFlags(flags);
  const given = flags.string('name');
  const name = given === undefined ? `run-${randomBytes(4).toString('hex')}` : checkName(given);
  const detach = flags.bool('detach');
  const tty = flags.bool('tty');
  if (tty && !detach && (context.stdin.isTTY !== true || context.stdout.isTTY !== true)) {
    throw new HyprError('HYPR_USAGE', 'the input device is not a TTY', { hint: 'leave -t away', reason: 'noTerminal' });
  }
  const shared = sharedOptions(context, flags);
  const options: RunOptions = {
    ...RUN_DEFAULTS,
    service: name,
    name,
    args: late.command,
    ...shared,
    ports: [...shared.ports, ...late.ports.flatMap(portsOf)],
    labels: { ...(await readVariables(context, flags.list('label-file'), {})), ...shared.labels },
    volumes: [...shared.volumes, ...flags.list('mount').map((text) => readMount(text, context.cwd))],
    env: await environmentOf(context, flags, context.env, 'env-file'),
    tty,
    stdin: flags.bool('interactive'),
    size: tty && !detach ? sizeOf(context) : undefined,
    detach,
    remove: flags.bool('rm') ? 'stack' : 'no',
    ordinary: true,
    noDeps: true,
    pull: flags.choice('pull', PULL) ?? 'policy',
  };
  await refuseKnownStack(invocation, name);
  return {
    project: projectOf({ name, image, flags, cwd: context.cwd, env: context.env }),
    options,
    shows: (event) =>
      event.type === 'warning' ||
      event.type === 'refusal' ||
      (event.type === 'progress' && event.progress.id.startsWith('Image ') && !flags.bool('quiet')),
  };
};

/** docker's. */
const LEAST_MEMORY = 6 * 2 ** 20;

const checkFlags = (flags: Flags): void => {
  const [restart, memory] = [flags.string('restart'), flags.string('memory')];
  if (memory !== undefined && parseBytes(memory) > 0 && parseBytes(memory) < LEAST_MEMORY) {
    throw new HyprError('HYPR_USAGE', 'Minimum memory limit allowed is 6MB');
  }
  if (flags.bool('rm') && restart !== undefined && restart !== 'no') {
    throw new HyprError('HYPR_USAGE', '--rm and --restart cannot be given together');
  }
  if (restart !== undefined && !/^(no|always|unless-stopped|on-failure(:\d+)?)$/.test(restart)) {
    throw new HyprError('HYPR_USAGE', `--restart does not know "${restart}"`, { hint: 'use no, on-failure[:N], always or unless-stopped' });
  }
};

const checkName = (name: string): string => {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) {
    throw new HyprError('HYPR_USAGE', `"${name}" cannot be the name of a machine`, {
      hint: 'use letters, digits, "-", "_" and ".", starting with a letter or digit',
    });
  }
  return name;
};

/** A stack's name has fewer letters than a machine's may have. */
const stackFor = (name: string): string => {
  const clean = name.toLowerCase().replaceAll('.', '-');
  return clean === name ? name : `${clean}-${randomBytes(3).toString('hex')}`;
};

const refuseKnownStack = async ({ context, flags }: Invocation, name: string): Promise<void> => {
  if (flags.string('name') === undefined) {
    return;
  }
  const engine = await context.engine();
  const known = await engine.listStacks({ all: true });
  const isTaken = known.some((stack) => stack.name === name);
  const machines = isTaken ? [] : (await engine.openObjects()).replicas(name);
  const machine = machines.find(({ status }) => status.name === name);
  if (machine !== undefined) {
    throw new HyprError('HYPR_USAGE', `the name ${name} is already in use by a machine`, {
      hint: machine.standalone ? `remove it: hypr rm ${name}` : `remove it: hypr -p ${machine.stack} down`,
    });
  }
  if (isTaken) {
    throw new HyprError('HYPR_USAGE', `the name ${name} is already in use by a stack`, { hint: `remove it: hypr -p ${name} down` });
  }
};

const projectOf = (input: { name: string; image: string; flags: Flags; cwd: string; env: NodeJS.ProcessEnv }): Project => {
  const { name, image, flags, cwd, env } = input;
  const { service, networks } = networksOfRun(flags);
  return {
    name: stackFor(name),
    workingDir: cwd,
    files: [],
    services: { [name]: { ...serviceOf(image, flags), ...service } },
    disabledServices: {},
    networks,
    volumes: {},
    secrets: {},
    configs: {},
    extensions: {},
    environment: env.DOCKER_DEFAULT_PLATFORM ? { DOCKER_DEFAULT_PLATFORM: env.DOCKER_DEFAULT_PLATFORM } : {},
  };
};

/** Flags that a Compose file has as attributes. */
const serviceOf = (image: string, flags: Flags): Service => {
  const texts: Array<readonly [keyof Service & string, string | undefined]> = [
    ['hostname', flags.string('hostname')],
    ['mem_limit', flags.string('memory')],
    ['shm_size', flags.string('shm-size')],
    ['restart', flags.string('restart')],
    ['stop_signal', flags.string('stop-signal')],
    ['platform', flags.string('platform')],
    ['domainname', flags.string('domainname')],
    ['mac_address', flags.string('mac-address')],
  ];
  const cpus = flags.string('cpus');
  const grace = flags.int('stop-timeout');
  return {
    image,
    ...Object.fromEntries(texts.filter(([, value]) => value !== undefined)),
    ...(cpus === undefined ? {} : { cpus: Number(cpus) }),
    ...(grace === undefined ? {} : { stop_grace_period: `${grace}s` }),
    ...(flags.bool('privileged') ? { privileged: true } : {}),
    ...(flags.bool('read-only') ? { read_only: true } : {}),
    ...(flags.bool('init') ? { init: true } : {}),
    ...(flags.bool('publish-all') ? { [PUBLISH_ALL]: true } : {}),
    extra_hosts: [...flags.list('add-host')],
    dns: [...flags.list('dns')],
    dns_search: [...flags.list('dns-search')],
    dns_opt: [...flags.list('dns-option')],
    expose: [...flags.list('expose')],
    group_add: [...flags.list('group-add')],
    ...healthOf(flags),
    ...devicesOf(flags),
    ...cardsOf(flags),
    ...storageOf(flags),
    tmpfs: [...flags.list('tmpfs')],
    sysctls: Object.fromEntries(flags.list('sysctl').map((entry) => entry.split(/=(.*)/s).slice(0, 2))),
    ulimits: Object.fromEntries(flags.list('ulimit').map(limitOf)),
  };
};

/** Which options there are is the engine's to decide. */
const storageOf = (flags: Flags): Pick<Service, 'storage_opt'> => {
  const options = flags.list('storage-opt').map((entry) => entry.split(/=(.*)/s).concat('').slice(0, 2));
  return options.length === 0 ? {} : { storage_opt: Object.fromEntries(options) };
};

/** Which devices there are is the engine's to decide. */
const devicesOf = (flags: Flags): Partial<Service> => {
  const devices = flags.list('device').map((entry) => {
    const [source = '', target = source] = entry.split(':');
    return { source, target };
  });
  return devices.length === 0 ? {} : { devices };
};

/** `--gpu ADDRESS`, and docker's `--gpus`. */
const cardsOf = (flags: Flags): Partial<Service> => {
  const [cards, gpus] = [flags.list('gpu'), flags.string('gpus')];
  return {
    ...(cards.length === 0 ? {} : { 'x-hypr': { pci: [...cards] } }),
    ...(gpus === undefined ? {} : { gpus: [readGpus(gpus)] }),
  };
};

/** Omitted values come from the image. */
const healthOf = (flags: Flags): Pick<Service, 'healthcheck'> => {
  if (flags.bool('no-healthcheck')) {
    return { healthcheck: { disable: true } };
  }
  const command = flags.string('health-cmd');
  const retries = flags.int('health-retries');
  const times = (['interval', 'timeout', 'start-period', 'start-interval'] as const).flatMap((name) => {
    const value = flags.string(`health-${name}`);
    return value === undefined ? [] : [[name.replace('-', '_'), value] as const];
  });
  const healthcheck = {
    ...(command === undefined ? {} : { test: ['CMD-SHELL', command] }),
    ...Object.fromEntries(times),
    ...(retries === undefined ? {} : { retries }),
  };
  return Object.keys(healthcheck).length === 0 ? {} : { healthcheck };
};

const limitOf = (entry: string): [string, { soft: number; hard: number }] => {
  const [, name, soft, hard] = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(entry) ?? [];
  if (name === undefined || soft === undefined) {
    throw new HyprError('HYPR_USAGE', `--ulimit does not know "${entry}"`, { hint: 'write NAME=SOFT[:HARD], such as nofile=1024:2048' });
  }
  return [name, { soft: Number(soft), hard: Number(hard ?? soft) }];
};
