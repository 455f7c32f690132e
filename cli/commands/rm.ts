import { HyprError, messageOf } from '../../base/errors.ts';
import { DOWN_DEFAULTS, VERB_DEFAULTS } from '../../engine/model/option-defaults.ts';
import type { ReplicaDetail, Stack } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import { confirm } from '../core/confirm.ts';
import { findMachines, onMachines } from '../core/machines.ts';
import { say } from '../core/output.ts';
import { failuresOf } from '../core/print-error.ts';
import { checkServices, findStack, openStack } from '../core/project.ts';
import { createRenderer } from '../render/create.ts';
import { feedEvent } from '../render/types.ts';
import { servicesOf } from './verbs.ts';

/** `rm`: removes stopped replicas (with `-s` running ones, too), after asking on a terminal. */
export const runRm: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const options = { ...VERB_DEFAULTS, services: args, stop: flags.bool('stop'), volumes: flags.bool('volumes') };
  const found = await findMachines(invocation, args).catch((error: unknown) => {
    if (flags.bool('force') && error instanceof HyprError && error.code === 'NOT_FOUND') {
      for (const each of failuresOf(error)) {
        say(context, messageOf(each));
      }
      return undefined;
    }
    throw error;
  });
  if (found === undefined) {
    return 0;
  }
  const { machines, here } = found;
  if (machines.some((machine) => machine !== undefined)) {
    return removeMachines(invocation, machines);
  }
  const { name, project } = here ?? (await findStack(invocation));
  return openStack(invocation, name, async (stack) => {
    checkServices(args, project ? { ...project.services, ...project.disabledServices } : await servicesOf(stack));
    const targets = (await stack.ps())
      .filter((replica) => !replica.oneOff && (args.length === 0 || args.includes(replica.service)))
      .filter((replica) => options.stop || ['created', 'exited', 'dead'].includes(replica.state))
      .map((replica) => replica.name)
      .sort();
    if (targets.length === 0) {
      say(context, 'No stopped containers');
      return 0;
    }
    if (
      !flags.bool('force') &&
      !(await confirm(context, `Going to remove ${targets.join(', ')}\nAre you sure? [yN] `, 'hypr rm --force'))
    ) {
      return 0;
    }
    const renderer = await createRenderer(context, flags, 'rm');
    try {
      await stack.verb('rm', project, options, (event) => feedEvent(renderer, event), context.interrupts.signal);
    } finally {
      renderer.close();
    }
    return 0;
  });
};

/** docker's `rm NAME`: asks nothing, and what runs goes only with `-f`. A stack that was made for the one machine goes with it. */
const removeMachines = (invocation: Invocation, machines: ReadonlyArray<ReplicaDetail | undefined>): Promise<number> => {
  const { flags, context } = invocation;
  const force = flags.bool('force') || flags.bool('stop');
  const check = ({ status: { name, state } }: ReplicaDetail): void => {
    if (!force && !['created', 'exited', 'dead'].includes(state)) {
      throw new HyprError('HYPR_USAGE', `cannot remove ${name}, which is ${state}`, { hint: `stop it, or: hypr rm -f ${name}` });
    }
  };
  const { signal } = context.interrupts;
  const work = async (stack: Stack, replicas: string[]): Promise<void> => {
    const options = { ...VERB_DEFAULTS, replicas, stop: true, volumes: flags.bool('volumes'), timeout: 0 };
    // The name alone proves nothing: a service of a larger stack may have `container_name: STACK`.
    if (replicas.includes(stack.name) && (await stack.ps()).every(({ name }) => replicas.includes(name))) {
      if (flags.bool('volumes')) {
        // Not by `down -v`, which would remove those with a name as well.
        await stack.verb('rm', undefined, options, () => {}, signal);
      }
      await stack.down(undefined, { ...DOWN_DEFAULTS, removeOrphans: true, timeout: 0 }, () => {}, signal);
      return;
    }
    await stack.verb('rm', undefined, options, () => {}, signal);
  };
  return onMachines(invocation, machines, { work, check, missingIsFine: flags.bool('force') });
};
