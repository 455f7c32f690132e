import { HyprError } from '../../base/errors.ts';
import { stateWord } from '../../engine/docker/shapes/status.ts';
import { VERB_DEFAULTS } from '../../engine/model/option-defaults.ts';
import type { ReplicaDetail, ServiceVerb, VerbOptions } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import type { Flags } from '../core/flags.ts';
import { findMachines, onMachines } from '../core/machines.ts';
import { checkServices, type FoundStack, findStack, openStack } from '../core/project.ts';
import { createRenderer } from '../render/create.ts';
import { feedEvent } from '../render/types.ts';
import { carrySession, detachKeysOf } from '../session/session.ts';
import { endProviders } from './providers.ts';

type SimpleVerb = Exclude<ServiceVerb, 'rm'>;

/** What each verb reads of its own flags. */
const OPTIONS: Readonly<Record<SimpleVerb, (flags: Flags) => Partial<VerbOptions>>> = {
  start: (flags) => ({ wait: flags.bool('wait') || flags.int('wait-timeout') !== undefined, waitTimeout: flags.int('wait-timeout') }),
  stop: (flags) => ({ timeout: flags.int('timeout') }),
  restart: (flags) => ({ timeout: flags.int('timeout'), noDeps: flags.bool('no-deps') }),
  kill: (flags) => ({ signal: flags.string('signal') ?? 'SIGKILL' }),
  pause: () => ({}),
  unpause: () => ({}),
  suspend: () => ({}),
  resume: () => ({}),
};

/** start, stop, restart, kill, pause, unpause, suspend, resume. */
export const runVerb: Handler = async (invocation) => {
  const { context, command, args, flags } = invocation;
  const verb = command.name;
  if (!isVerb(verb)) {
    throw new HyprError('HYPR_INTERNAL', `${verb} is not a verb of the engine`);
  }
  const options = { ...VERB_DEFAULTS, services: args, ...OPTIONS[verb](flags) };
  const { machines, here } = await findMachines(invocation, args);
  if (machines.some((machine) => machine !== undefined)) {
    if (verb === 'start' && (flags.tristate('attach') === true || flags.tristate('interactive') === true)) {
      return startAttached(invocation, machines);
    }
    return onMachines(invocation, machines, {
      check: (machine) => refuseState(verb, machine),
      work: (stack, replicas) => stack.verb(verb, undefined, { ...options, services: [], replicas }, () => {}, context.interrupts.signal),
    });
  }
  const { name, project } = await withNamed(invocation, here ?? (await findStack(invocation)), args);
  return openStack(invocation, name, async (stack) => {
    checkServices(args, project ? { ...project.services, ...project.disabledServices } : await servicesOf(stack));
    const renderer = await createRenderer(context, flags, verb);
    try {
      await stack.verb(verb, project, options, (event) => feedEvent(renderer, event), context.interrupts.signal);
    } finally {
      renderer.close();
    }
    if (verb === 'stop') {
      await endProviders(invocation, project, 'stop');
    }
    return 0;
  });
};

/** What docker refuses of a machine that is not in the state for it. */
const refuseState = (verb: SimpleVerb, machine: ReplicaDetail): void => {
  const { name } = machine.status;
  const state = stateWord(machine.status);
  const isUp = state === 'running' || state === 'paused' || state === 'restarting';
  const refusal =
    (verb === 'kill' || verb === 'pause') && !isUp
      ? 'is not running'
      : verb === 'pause' && state === 'paused'
        ? 'is already paused'
        : verb === 'unpause' && state !== 'paused'
          ? 'is not paused'
          : undefined;
  if (refusal !== undefined) {
    throw new HyprError('HYPR_USAGE', `container ${name} ${refusal}`);
  }
};

/** docker's `start -a`: what the program writes from its start on, and its exit code. */
const startAttached = async (invocation: Invocation, [machine, ...more]: ReadonlyArray<ReplicaDetail | undefined>): Promise<number> => {
  const { context, flags } = invocation;
  if (machine === undefined || more.length > 0) {
    throw new HyprError('HYPR_USAGE', 'only one container can be attached to at once');
  }
  const { status, spec, stack: name } = machine;
  const detachKeys = detachKeysOf(flags);
  const { signal } = context.interrupts;
  return openStack(invocation, name, async (stack) => {
    const session = await stack.attach({ service: status.service, index: status.number, wait: true }, signal);
    const stdin = flags.tristate('interactive') === true && session.stdin;
    const tty = spec.process.tty && stdin && context.stdin.isTTY === true && context.stdout.isTTY === true;
    try {
      const carried = carrySession(session, { tty, stdin, closeInput: true, detachKeys, signals: true }, context);
      carried.catch(() => {});
      await stack.verb('start', undefined, { ...VERB_DEFAULTS, replicas: [status.name] }, () => {}, signal);
      return await carried;
    } finally {
      session.close();
    }
  });
};

/** The whole model, because services that depend on the named ones restart with them; read again only where a name switches a profile on. */
const withNamed = async (invocation: Invocation, found: FoundStack, services: readonly string[]): Promise<FoundStack> => {
  const disabled = found.project?.disabledServices ?? {};
  return services.some((name) => Object.hasOwn(disabled, name)) ? findStack(invocation, services) : found;
};

/** Without a model, the services are those of the replicas that exist. */
export const servicesOf = async (stack: { ps(): Promise<ReadonlyArray<{ service: string }>> }): Promise<Record<string, true>> =>
  Object.fromEntries((await stack.ps()).map((replica) => [replica.service, true]));

const isVerb = (name: string): name is SimpleVerb => Object.hasOwn(OPTIONS, name);
