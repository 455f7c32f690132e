import { HyprError } from '../../../base/errors.ts';
import { logger } from '../../../base/log.ts';
import { type ProcessSpec, SILENT_START } from '../../../guest/types.ts';
import type { RunInstruction } from '../../dockerfile/instruction.ts';
import { BUILD_PROXY_PORT } from '../../model/types.ts';
import type { BuildContext } from '../frame/build-context.ts';
import { type CacheRecord, makeKey } from '../frame/cache.ts';
import { shellOf } from '../frame/metadata.ts';
import { formatPlatform, hostPlatform } from '../frame/platform.ts';
import type { Vertex } from '../frame/progress.ts';
import { DEFAULT_PATH, type StageState, workdirOf } from '../frame/state.ts';
import { runOnce } from '../frame/step-lock.ts';
import { filterLayer } from '../layer/layer-filter.ts';
import { StepFault } from '../layer/step-error.ts';
import { type HeldCaches, withCaches } from '../machine/cache-lock.ts';
import type { RunCommand } from '../machine/run-command.ts';
import { type PreparedMount, prepareMounts } from '../machine/run-mounts.ts';
import { runProcess } from '../machine/run-process.ts';
import type { StageMachine } from '../machine/stage-machine.ts';
import { openStepMounts, type StepMounts } from '../machine/step-mounts.ts';
import { caVariables, STORES } from '../machine/trust-store.ts';
import type { WarmMachine } from '../machine/warm-machine.ts';

import { withSteadyFiles } from './steady-files.ts';

const log = logger('build');

export interface RunStep {
  readonly instruction: RunInstruction;
  readonly command: RunCommand;
  readonly state: StageState;
  readonly index: number;
  readonly noCache: boolean;
  readonly machine: StageMachine;
}

const PROXY_ARGS = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'];

/**
 * A RUN: out of the cache, or in the stage's machine. Two builds that need the same step wait for each
 * other, the second finds it in the cache. Throws StepFault.
 */
export const runRun = (build: BuildContext, vertex: Vertex, step: RunStep): Promise<CacheRecord> =>
  withSteadyFiles(build, () => runWithMounts(build, vertex, step));

const runWithMounts = async (build: BuildContext, vertex: Vertex, step: RunStep): Promise<CacheRecord> => {
  const mounts = await prepareMounts(build, step);
  const key = keyOf(build, step, mounts);
  const find = async () => (step.noCache ? undefined : await build.cache.find(key));
  const onWait = () => step.machine.yieldTurn();
  return await runOnce(build, vertex, {
    key,
    find,
    onWait,
    work: async () => {
      const diffId = await withCaches(build, { mounts, noCache: step.noCache, onWait }, (caches) =>
        execute(build, vertex, { ...step, mounts, caches }),
      );
      const record = { key, diffId, created: Date.now() };
      await build.cache.save([key], record);
      return record;
    },
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

const environmentOf = (state: StageState): string[] => {
  const env = new Map(state.variables);
  if (!env.has('PATH')) {
    env.set('PATH', DEFAULT_PATH);
  }
  return Array.from(env, ([name, value]) => `${name}=${value}`);
};

const networkOf = (build: BuildContext, instruction: RunInstruction): 'default' | 'none' | 'proxy' => {
  if (instruction.network === 'host') {
    throw new StepFault('RUN --network=host: a build step runs in a machine of its own and cannot use the network of this host', {
      hint: 'leave --network out: the step reaches the outside through its own network',
    });
  }
  return instruction.network ?? build.request.network;
};

interface Execution extends RunStep {
  readonly mounts: readonly PreparedMount[];
  readonly caches: HeldCaches;
}

const execute = async (build: BuildContext, vertex: Vertex, step: Execution): Promise<string> => {
  checkPlatform(step.state);
  if (step.instruction.devices.length > 0) {
    throw new StepFault('RUN --device: devices of this host cannot be given to a build step');
  }
  const attempt: Attempt = { begun: false };
  try {
    return await executeOnce(build, vertex, { ...step, attempt });
  } catch (error) {
    const isFault = error instanceof HyprError && MACHINE_FAULTS.has(error.code) && (!attempt.begun || error.reason === SILENT_START);
    if (build.signal.aborted || !isFault) {
      throw error;
    }
    const { message: reason, details } = error;
    log.warn('a build machine was lost before a step began; the step begins again in another', { reason, details, machine: attempt.look });
    const place = { file: build.dockerfile.file, line: step.instruction.range.line };
    build.progress.warn(`a build machine was lost before this step began, which began again in another: ${reason}`, place);
    return await executeOnce(build, vertex, { ...step, attempt });
  }
};

/** How far a step came in its machine. */
interface Attempt {
  /** Its program may have run, so that it must not run again. */
  begun: boolean;
  /** What was seen of a machine that did not answer, or had ended. */
  look?: object;
}

/** The machine, the way to it or the host under load is at fault, and not the step. */
const MACHINE_FAULTS: ReadonlySet<string> = new Set(['GUEST_LOST', 'GUEST_BOOT', 'HYPR_TIMEOUT']);

const executeOnce = async (build: BuildContext, vertex: Vertex, step: Execution & { attempt: Attempt }): Promise<string> => {
  const { machine, state } = step;
  try {
    const network = networkOf(build, step.instruction);
    // A step without network in a machine that has one gets a namespace of its own.
    const profile = network === 'none' ? build.request.network : network;
    const warm = await machine.use(state.layers, { network: profile }, build.signal);
    await runInMachine(build, vertex, { ...step, warm, isolated: network !== profile });
    const added = (await build.certificates())?.own;
    const stores = { paths: STORES, onChanged: () => warm.storesChanged(), ...(added === undefined ? {} : { added }) };
    const layer = filterLayer(warm.machine.guest.readLayer(build.signal), { drop: ['/run/hypr'], dropIfEmpty: ['/run'], stores });
    const { diffId } = await build.store.addLayer(layer, { signal: build.signal });
    warm.committed(diffId);
    return diffId;
  } catch (error) {
    if (error instanceof HyprError && MACHINE_FAULTS.has(error.code) && !build.signal.aborted) {
      step.attempt.look = await machine.look();
    }
    // Whatever the step left in the machine is in no layer.
    await machine.close();
    throw error;
  } finally {
    machine.park();
  }
};

const runInMachine = async (
  build: BuildContext,
  vertex: Vertex,
  step: Execution & { attempt: Attempt; warm: WarmMachine; isolated: boolean },
): Promise<void> => {
  const { warm, mounts, caches, command, state } = step;
  const { signal } = build;
  const mounted = await openStepMounts({ machine: warm.machine, contents: warm.contents, mounts, caches, script: command.script, signal });
  const process = await processOf(build, step, mounted);
  step.attempt.begun = true;
  try {
    await runProcess(warm.machine, process, { vertex, signal, timeout: build.request.limits?.stepTimeout });
  } catch (error) {
    if (error instanceof StepFault && build.onFailedStep !== undefined && !signal.aborted) {
      await build.onFailedStep({ guest: warm.machine.guest, process, shell: shellOf(state.config).slice(0, -1), error });
    }
    throw error;
  }
  await mounted.release();
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

const processOf = async (
  build: BuildContext,
  { command, instruction, state, isolated }: RunStep & { isolated: boolean },
  mounted: StepMounts,
): Promise<ProcessSpec> => {
  const env = environmentOf(state);
  const names = new Map(env.map((entry) => [entry.slice(0, entry.indexOf('=')), '']));
  const { buildArgs, limits } = build.request;
  const proxies = proxyArgs(buildArgs);
  const written = env.filter((entry) => !proxies.has(entry.slice(0, entry.indexOf('='))));
  const ownProxy = build.request.network === 'proxy' && !isolated ? proxyVariables(names) : [];
  const extra = mounted.env.filter((entry) => !entry.startsWith('SSH_AUTH_SOCK=') || !names.has('SSH_AUTH_SOCK'));
  return {
    args: command.args,
    env: [
      ...written,
      ...ownProxy,
      ...Array.from(proxies, ([name, value]) => `${name}=${value}`),
      ...extra,
      ...((await build.certificates()) === undefined ? [] : caVariables(names, textOf(command))),
    ],
    cwd: workdirOf(state),
    user: state.config.User ?? '',
    groups: [],
    tty: false,
    stdin: false,
    mounts: mounted.mounts,
    ...(limits?.ulimits === undefined ? {} : { limits: limits.ulimits }),
    ...(isolated ? { isolated } : {}),
    ...(instruction.security === 'insecure' ? { privileged: true } : {}),
  };
};

/** All that is known of what a step runs. */
const textOf = ({ args, script }: RunCommand): string =>
  [args.join(' '), script === undefined ? '' : Buffer.from(script.content).toString()].join('\n');

/**
 * Proxies among the arguments, in either case: in every RUN in both cases, without being declared and over what ENV says, in
 * neither the image nor the cache key (BuildKit, `proxyEnvFromBuildArgs` and `proxyEnvList`).
 */
const proxyArgs = (buildArgs: Readonly<Record<string, string>>): Map<string, string> => {
  const given = Object.keys(buildArgs).sort();
  return new Map(
    PROXY_ARGS.flatMap((name): Array<[string, string]> => {
      const value = buildArgs[given.findLast((key) => key.toUpperCase() === name) ?? ''] ?? '';
      return value === ''
        ? []
        : [
            [name, value],
            [name.toLowerCase(), value],
          ];
    }),
  );
};

const proxyVariables = (names: ReadonlyMap<string, string>): string[] =>
  ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY']
    .filter((name) => !names.has(name))
    .map((name) => `${name}=http://127.0.0.1:${BUILD_PROXY_PORT}`);
