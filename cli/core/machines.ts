import { HyprError, isAbort, messageOf } from '../../base/errors.ts';
import type { ObjectApi, ReplicaDetail, Stack } from '../../engine/model/types.ts';
import type { Invocation } from './command-spec.ts';
import { say } from './output.ts';
import { throwFailures } from './print-error.ts';
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
  // Of several names, those that are machines are done; the caller says which are none.
  if (here === undefined && !context.env.COMPOSE_PROJECT_NAME && machines.every((machine) => machine === undefined)) {
    throwFailures(names.map(noSuchMachine), `${names.length} names are those of no machine`);
  }
  return { machines, here };
};

/** The one machine that NAME is, of whichever stack. Throws NOT_FOUND, and HYPR_USAGE when it may be several. */
export const needMachine = (objects: Pick<ObjectApi, 'replicas'>, name: string): ReplicaDetail => {
  const [machine, ...others] = name === '' ? [] : objects.replicas(name);
  if (machine === undefined) {
    throw noSuchMachine(name);
  }
  if (others.length > 0) {
    throw ambiguous(name, [machine, ...others]);
  }
  return machine;
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

export interface MachinesWork {
  readonly work: (stack: Stack, names: string[]) => Promise<void>;
  /** Throws for a machine that is not in the state for it. */
  readonly check?: (machine: ReplicaDetail) => void;
  /** What is not there needs nothing done: only said. */
  readonly missingIsFine?: boolean;
}

/**
 * Does `work` to the machines, stack by stack, and prints what was said of each that it was done to, as docker does. What failed is thrown
 * when all is done: NOT_FOUND for a name that is that of no machine. A cancellation ends it at once, whatever failed before.
 */
export const onMachines = async (
  invocation: Invocation,
  machines: ReadonlyArray<ReplicaDetail | undefined>,
  { work, check = () => {}, missingIsFine = false }: MachinesWork,
): Promise<number> => {
  const { context, args } = invocation;
  const { wanted, failures } = checkMachines(args, machines, check);
  const done = new Set<string>();
  let cancelled: unknown;
  for (const name of new Set(wanted.map(({ machine }) => machine.stack))) {
    const own = wanted.filter(({ machine }) => machine.stack === name);
    try {
      await openStack(invocation, name, (stack) => work(stack, [...new Set(own.map(({ machine }) => machine.status.name))]));
      done.add(name);
    } catch (error) {
      if (isAbort(error)) {
        cancelled = error;
        break;
      }
      failures.push(error);
    }
  }
  context.stdout.write(wanted.flatMap(({ said, machine }) => (done.has(machine.stack) ? [`${said}\n`] : [])).join(''));
  if (cancelled !== undefined) {
    throw cancelled;
  }
  const isFine = (error: unknown): boolean => missingIsFine && error instanceof HyprError && error.code === 'NOT_FOUND';
  for (const error of failures.filter(isFine)) {
    say(context, messageOf(error));
  }
  const real = failures.filter((error) => !isFine(error));
  throwFailures(real, `${real.length} of the machines failed`);
  return 0;
};

/** Those that `work` can be done to, with what was said of each, and why not of the others. */
const checkMachines = (
  args: readonly string[],
  machines: ReadonlyArray<ReplicaDetail | undefined>,
  check: (machine: ReplicaDetail) => void,
) => {
  const failures: unknown[] = [];
  const wanted: Array<{ readonly said: string; readonly machine: ReplicaDetail }> = [];
  for (const [position, said] of args.entries()) {
    try {
      const machine = machines[position];
      if (machine === undefined) {
        throw noSuchMachine(said);
      }
      check(machine);
      wanted.push({ said, machine });
    } catch (error) {
      failures.push(error);
    }
  }
  return { wanted, failures };
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
