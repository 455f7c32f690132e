import { HyprError } from '../../base/errors.ts';
import { VERB_DEFAULTS } from '../../engine/model/option-defaults.ts';
import type { ServiceVerb, VerbOptions } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import type { Flags } from '../core/flags.ts';
import { findMachines, onMachines } from '../core/machines.ts';
import { checkServices, type FoundStack, findStack, openStack } from '../core/project.ts';
import { createRenderer } from '../render/create.ts';
import { feedEvent } from '../render/types.ts';
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
    return onMachines(invocation, machines, (stack, replicas) =>
      stack.verb(verb, undefined, { ...options, services: [], replicas }, () => {}, context.interrupts.signal),
    );
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

/** The whole model, because services that depend on the named ones restart with them; read again only where a name switches a profile on. */
const withNamed = async (invocation: Invocation, found: FoundStack, services: readonly string[]): Promise<FoundStack> => {
  const disabled = found.project?.disabledServices ?? {};
  return services.some((name) => Object.hasOwn(disabled, name)) ? findStack(invocation, services) : found;
};

/** Without a model, the services are those of the replicas that exist. */
export const servicesOf = async (stack: { ps(): Promise<ReadonlyArray<{ service: string }>> }): Promise<Record<string, true>> =>
  Object.fromEntries((await stack.ps()).map((replica) => [replica.service, true]));

const isVerb = (name: string): name is SimpleVerb => Object.hasOwn(OPTIONS, name);
