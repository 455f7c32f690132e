import { HyprError } from '../../base/errors.ts';
import type { ReplicaDetail, Stack } from '../../engine/model/types.ts';
import type { Invocation } from './command-spec.ts';
import { type FoundStack, findStack, isWithoutFile, openStack } from './project.ts';

export interface NamedMachines {
  /** One for each name, in their order. */
  readonly machines: ReadonlyArray<ReplicaDetail | undefined>;
  /** The stack of this place with all its services, where it was looked for and there is one. */
  readonly here: FoundStack | undefined;
}

/**
 * The machines that docker's commands mean by NAME or ID, of whichever stack: `hypr exec shop-db-1 …`. Undefined where a name is
 * that of a service of the stack, where the command was called by `hypr compose` or a stack was named, and where there is no such machine.
 * Throws NOT_FOUND for the last of these where there is no Compose file either.
 */
export const findMachines = async (invocation: Invocation, names: readonly string[]): Promise<NamedMachines> => {
  const { context, viaCompose, flags } = invocation;
  const mayBeMachine = names.filter((name) => name !== '');
  if (viaCompose || mayBeMachine.length === 0 || flags.string('project-name') !== undefined || flags.list('file').length > 0) {
    return { machines: names.map(() => undefined), here: undefined };
  }
  const here = await stackHere(invocation);
  const others = new Set(mayBeMachine.filter((name) => !isService(here, name)));
  // Only now: it loads much, and most commands name services.
  const objects = others.size === 0 ? undefined : await (await context.engine()).openObjects();
  const machines = names.map((name) => {
    const found = others.has(name) ? (objects?.replicas(name) ?? []) : [];
    if (found.length > 1) {
      throw ambiguous(name, found);
    }
    return found[0];
  });
  const missing = names.find((_, position) => machines[position] === undefined);
  if (missing !== undefined && here === undefined && !context.env.COMPOSE_PROJECT_NAME) {
    throw noSuchMachine(missing);
  }
  return { machines, here };
};

/** In docker's words, which scripts look for. */
export const noSuchMachine = (name: string): HyprError =>
  new HyprError('NOT_FOUND', `No such container: ${name}`, {
    hint: 'machines are named as in: hypr ps -a; names of services are known in the folder of their Compose file',
  });

/**
 * `work` on the one machine that NAME is, of whichever stack; undefined where it is the name of a service, which the caller looks for.
 * Throws NOT_FOUND where there is neither.
 */
export const onMachine = async <T>(
  invocation: Invocation,
  name: string,
  work: (stack: Stack, machine: ReplicaDetail) => Promise<T>,
): Promise<T | undefined> => {
  const [machine] = (await findMachines(invocation, [name])).machines;
  return machine === undefined ? undefined : await openStack(invocation, machine.stack, (stack) => work(stack, machine));
};

/**
 * Does `work` to the machines, stack by stack, and prints what was said of each on the command line, as docker does. Throws
 * NOT_FOUND when one of the names is that of no machine, before anything is done.
 */
export const onMachines = async (
  invocation: Invocation,
  machines: ReadonlyArray<ReplicaDetail | undefined>,
  work: (stack: Stack, names: string[]) => Promise<void>,
): Promise<number> => {
  const { context, args } = invocation;
  const missing = args.find((_, position) => machines[position] === undefined);
  if (missing !== undefined) {
    throw noSuchMachine(missing);
  }
  const known = machines.filter((machine) => machine !== undefined);
  for (const name of new Set(known.map((machine) => machine.stack))) {
    const replicas = known.filter((machine) => machine.stack === name).map(({ status }) => status.name);
    await openStack(invocation, name, (stack) => work(stack, replicas));
  }
  context.stdout.write(args.map((name) => `${name}\n`).join(''));
  return 0;
};

/** NAME as the beginning of several ids. */
export const ambiguous = (name: string, found: readonly ReplicaDetail[]): HyprError =>
  new HyprError('HYPR_USAGE', `${name} may be each of ${found.map(({ status, stack }) => `${status.name} (stack ${stack})`).join(', ')}`, {
    hint: 'write more of its id: hypr ps --no-trunc -q',
  });

const stackHere = async (invocation: Invocation): Promise<FoundStack | undefined> => {
  try {
    return await findStack(invocation);
  } catch (error) {
    if (isWithoutFile(error)) {
      return undefined;
    }
    throw error;
  }
};

const isService = (here: FoundStack | undefined, name: string): boolean =>
  here?.project !== undefined && (Object.hasOwn(here.project.services, name) || Object.hasOwn(here.project.disabledServices, name));
