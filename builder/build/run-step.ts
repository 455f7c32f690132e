import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { withLock } from '../../base/lock.ts';
import type { ProcessSpec } from '../../guest/types.ts';
import type { RunInstruction } from '../dockerfile/instruction.ts';
import type { BuildMachine } from '../types.ts';
import type { BuildContext } from './build-context.ts';
import { caVariables } from './ca-bundle.ts';
import { type CacheRecord, makeKey } from './cache.ts';
import { filterLayer } from './layer-filter.ts';
import { formatPlatform, hostPlatform } from './platform.ts';
import type { Vertex } from './progress.ts';
import type { RunCommand } from './run-command.ts';
import { fillMounts, mountFilter, type PreparedMount, prepareMounts, saveCaches } from './run-mounts.ts';
import { runProcess } from './run-process.ts';
import type { StageMachine } from './stage-machine.ts';
import { DEFAULT_PATH, type StageState, workdirOf } from './state.ts';
import { StepFault } from './step-error.ts';

export interface RunStep {
  readonly instruction: RunInstruction;
  readonly command: RunCommand;
  readonly state: StageState;
  readonly index: number;
  readonly noCache: boolean;
  readonly machine: StageMachine;
}

/** As predefined ARGs: usable in RUN without being declared, in neither the image nor the cache key. */
const PROXY_ARGS = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'].flatMap((name) => [name, name.toLowerCase()]);
const LOCK_TIMEOUT = 24 * 3_600_000;

/**
 * A RUN: out of the cache, or in the stage's machine. Two builds that need the same step wait for each
 * other, the second finds it in the cache. Throws StepFault.
 */
export const runRun = async (build: BuildContext, vertex: Vertex, step: RunStep): Promise<CacheRecord> => {
  const mounts = await prepareMounts(build, step);
  const key = keyOf(build, step, mounts);
  const find = async () => (step.noCache ? undefined : await build.cache.find(key));
  const found = await find();
  if (found !== undefined) {
    vertex.cached();
    return found;
  }
  const lock = join(build.buildFolder, 'locks', createHash('sha256').update(key).digest('hex').slice(0, 32));
  return await withLock(lock, { what: 'this build step', timeout: LOCK_TIMEOUT, signal: build.signal }, async () => {
    const foundMeanwhile = await find();
    if (foundMeanwhile !== undefined) {
      vertex.cached();
      return foundMeanwhile;
    }
    const diffId = await withCacheLocks(build, mounts, () => execute(build, vertex, { ...step, mounts }));
    const record = { key, diffId, created: Date.now() };
    await build.cache.save([key], record);
    return record;
  });
};

const keyOf = (build: BuildContext, { instruction, command, state }: RunStep, mounts: readonly PreparedMount[]): string =>
  makeKey('run', {
    root: state.key,
    args: command.args,
    script: command.script ? Buffer.from(command.script.content).toString('base64') : '',
    env: environmentOf(state),
    cwd: workdirOf(state),
    user: state.config.User ?? '',
    network: networkOf(build, instruction),
    security: instruction.security ?? 'sandbox',
    hosts: build.hosts.flatMap(({ names }) => names),
    mounts: mounts.map(({ facts }) => facts),
    platform: formatPlatform(state.platform),
  });

/** ENV and declared ARGs; what of them has no value is not there. */
const environmentOf = (state: StageState): string[] => {
  const env = new Map(state.env);
  for (const { name, value } of state.args) {
    if (value !== undefined && !state.env.has(name)) {
      env.set(name, value);
    }
  }
  if (!env.has('PATH')) {
    env.set('PATH', DEFAULT_PATH);
  }
  return Array.from(env, ([name, value]) => `${name}=${value}`);
};

const networkOf = (build: BuildContext, instruction: RunInstruction): 'default' | 'none' => {
  if (instruction.network === 'host') {
    throw new StepFault('RUN --network=host: a build step runs in a machine of its own and cannot use the network of this host', {
      hint: 'leave --network out: the step reaches the outside through its own network',
    });
  }
  return instruction.network ?? build.request.network;
};

const execute = async (build: BuildContext, vertex: Vertex, step: RunStep & { mounts: readonly PreparedMount[] }): Promise<string> => {
  const { instruction, state, machine, mounts, command } = step;
  checkPlatform(state);
  if (instruction.devices.length > 0) {
    throw new StepFault('RUN --device: devices of this host cannot be given to a build step');
  }
  const root = mounts.length > 0 ? await build.trees.get(state.layers) : undefined;
  const tmpfs = mounts.flatMap(({ mount, target }) =>
    mount.type === 'tmpfs' && target !== undefined ? [{ target, ...(mount.size === undefined ? {} : { size: mount.size }) }] : [],
  );
  try {
    const running = await machine.use(state.layers, { network: networkOf(build, instruction), tmpfs }, build.signal);
    await fillMounts(running.guest, mounts, build.signal);
    if (command.script !== undefined) {
      await running.guest.writeFiles([command.script], build.signal);
    }
    await runProcess(running.guest, await processOf(build, step), { vertex, signal: build.signal });
    await saveCaches(running.guest, mounts, build.signal);
    const diffId = await commit(build, running, root === undefined ? undefined : mountFilter(mounts, root));
    machine.committed(diffId);
    return diffId;
  } catch (error) {
    // Whatever the step left in the machine is in no layer.
    await machine.close();
    throw error;
  } finally {
    // What mounts left in the machine is not in the layer, so that the next step must not see it either.
    if (mounts.length > 0) {
      await machine.close();
    }
    machine.park();
  }
};

/** Programs of another processor would not start: said before a machine is. */
const checkPlatform = ({ platform }: StageState): void => {
  const host = hostPlatform().architecture;
  if (platform.os !== 'linux' || platform.architecture !== host) {
    throw new HyprError('IMAGE_PLATFORM', `RUN for ${formatPlatform(platform)} cannot run on this linux/${host} host`, {
      hint: 'build for the platform of the host, or leave RUN out',
    });
  }
};

const commit = async (build: BuildContext, machine: BuildMachine, filter: ReturnType<typeof mountFilter> | undefined): Promise<string> => {
  const own = { drop: ['/run/hypr', '/dev/pipes', ...(filter?.drop ?? [])], dropIfEmpty: ['/run', '/dev', ...(filter?.dropIfEmpty ?? [])] };
  const { diffId } = await build.store.addLayer(filterLayer(machine.guest.readLayer(build.signal), own), { signal: build.signal });
  return diffId;
};

const processOf = async (
  build: BuildContext,
  { command, instruction, state, mounts }: RunStep & { mounts: readonly PreparedMount[] },
): Promise<ProcessSpec> => {
  const env = environmentOf(state);
  const names = new Map(env.map((entry) => [entry.slice(0, entry.indexOf('=')), '']));
  const { buildArgs } = build.request;
  const proxies = PROXY_ARGS.flatMap((name) => (Object.hasOwn(buildArgs, name) && !names.has(name) ? [`${name}=${buildArgs[name]}`] : []));
  const secrets = mounts.flatMap(({ mount, secret }) =>
    mount.env !== undefined && secret !== undefined ? [`${mount.env}=${Buffer.from(secret).toString('utf8')}`] : [],
  );
  return {
    args: command.args,
    env: [...env, ...proxies, ...secrets, ...((await build.caBundle()) === undefined ? [] : caVariables(names))],
    cwd: workdirOf(state),
    user: state.config.User ?? '',
    groups: [],
    tty: false,
    stdin: false,
    ...(instruction.security === 'insecure' ? { privileged: true } : {}),
  };
};

/** `sharing=locked` caches are used by one step at a time, also across processes; always taken in the same order. */
const withCacheLocks = async <T>(build: BuildContext, mounts: readonly PreparedMount[], work: () => Promise<T>): Promise<T> => {
  const files = mounts.flatMap(({ mount, cacheFile }) => (mount.sharing === 'locked' && cacheFile !== undefined ? [cacheFile] : []));
  const [file, ...rest] = [...new Set(files)].sort();
  if (file === undefined) {
    return await work();
  }
  const remaining = mounts.filter(({ cacheFile }) => cacheFile !== undefined && rest.includes(cacheFile));
  const options = { what: 'a cache mount', timeout: LOCK_TIMEOUT, signal: build.signal };
  return await withLock(`${file}.lock`, options, () => withCacheLocks(build, remaining, work));
};
