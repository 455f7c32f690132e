import { isAbort } from '../../base/errors.ts';
import { DOWN_DEFAULTS } from '../../engine/model/option-defaults.ts';
import type { ReplicaDetail } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import { findMachines, noSuchMachine } from '../core/machines.ts';
import { throwFailures } from '../core/print-error.ts';
import { checkServices, openStack, withStack } from '../core/project.ts';
import { createRenderer } from '../render/create.ts';
import { feedEvent } from '../render/types.ts';
import { servicesOf } from './verbs.ts';

/** docker's `wait NAME`: prints the exit code of each machine when it has ended. `wait SERVICE`: exits with the code of the first service that ends; `--down-project` then removes the stack. */
export const runWait: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const { machines } = await findMachines(invocation, args);
  if (machines.some((machine) => machine !== undefined)) {
    return waitForMachines(invocation, machines);
  }
  return withStack(invocation, async (stack, project) => {
    checkServices(args, project?.services ?? (await servicesOf(stack)));
    const code = await stack.wait(args, context.interrupts.signal);
    context.stdout.write(`${code}\n`);
    if (flags.bool('down-project')) {
      const renderer = await createRenderer(context, flags, 'down');
      try {
        await stack.down(
          project,
          { ...DOWN_DEFAULTS, removeOrphans: true },
          (event) => feedEvent(renderer, event),
          context.interrupts.signal,
        );
      } finally {
        renderer.close();
      }
    }
    return code;
  });
};

const waitForMachines = async (invocation: Invocation, machines: ReadonlyArray<ReplicaDetail | undefined>): Promise<number> => {
  const { context, args } = invocation;
  const failures: unknown[] = [];
  for (const [position, machine] of machines.entries()) {
    if (machine === undefined) {
      failures.push(noSuchMachine(args[position] ?? ''));
      continue;
    }
    try {
      context.stdout.write(`${await codeOf(invocation, machine)}\n`);
    } catch (error) {
      if (isAbort(error)) {
        throw error;
      }
      failures.push(error);
    }
  }
  throwFailures(failures, `${failures.length} of the machines cannot be waited for`);
  return 0;
};

const codeOf = async (invocation: Invocation, { status, stack: name }: ReplicaDetail): Promise<number> =>
  status.state === 'exited' || status.state === 'dead'
    ? status.exitCode
    : await openStack(invocation, name, (stack) => stack.wait([status.service], invocation.context.interrupts.signal));
