import { HyprError } from '../../base/errors.ts';
import type { ReplicaDetail, Stack } from '../../engine/model/types.ts';
import type { Invocation } from './command-spec.ts';
import { findStack, openStack } from './project.ts';

/**
 * The machine that docker's commands mean by NAME or ID, of whichever stack: `hypr exec shop-db-1 …`. Undefined where NAME is
 * a service of the stack, where the command was called by `hypr compose` or a stack was named, and where there is no such machine.
 */
export const machineNamed = async (invocation: Invocation, name: string): Promise<ReplicaDetail | undefined> => {
  const { context, viaCompose, flags } = invocation;
  if (viaCompose || name === '' || flags.string('project-name') !== undefined || flags.list('file').length > 0) {
    return undefined;
  }
  const found = (await (await context.engine()).openObjects()).replicas(name);
  if (found.length === 0 || (await isService(invocation, name))) {
    return undefined;
  }
  if (found.length > 1) {
    throw ambiguous(name, found);
  }
  return found[0];
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
    throw new HyprError('NOT_FOUND', `there is no machine ${missing}`, { hint: 'machines are named as in: hypr ps -a' });
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

const isService = async (invocation: Invocation, name: string): Promise<boolean> => {
  try {
    const { project } = await findStack(invocation);
    return project !== undefined && (Object.hasOwn(project.services, name) || Object.hasOwn(project.disabledServices, name));
  } catch (error) {
    if (error instanceof HyprError && error.code === 'COMPOSE_NOT_FOUND') {
      return false;
    }
    throw error;
  }
};
