import { HyprError } from '../../base/errors.ts';
import type { ReplicaDetail, Stack } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import { ambiguous } from '../core/machines.ts';
import { checkServices, withStack } from '../core/project.ts';
import { servicesOf } from './verbs.ts';

/** `commit SERVICE IMAGE`, and docker's `commit CONTAINER [IMAGE]`: an image of what a replica changed on its disk. */
export const runCommit: Handler = async (invocation) => {
  const { context, args, flags, viaCompose } = invocation;
  const [service = '', reference] = args;
  const engine = await context.engine();
  const found = viaCompose ? [] : (await engine.openObjects()).replicas(service);
  const [named] = found;
  if (found.length > 1) {
    throw ambiguous(service, found);
  }
  if (named?.status.oneOff) {
    throw new HyprError(
      'HYPR_UNSUPPORTED',
      `${named.status.name} is a one-off of run, and commit reads replicas of services and standalone machines`,
      {
        hint: 'copy what it made with: hypr cp, or make the change in a replica of the service',
      },
    );
  }
  if (named !== undefined) {
    return commit(invocation, { stack: await engine.openStack({ name: named.stack }), detail: named, reference });
  }
  return withStack(invocation, async (stack, project) => {
    checkServices([service], project ? { ...project.services, ...project.disabledServices } : await servicesOf(stack));
    const index = flags.int('index');
    const first = (await stack.ps())
      .filter((each) => each.service === service && !each.oneOff)
      .sort((a, b) => Number(b.state === 'running') - Number(a.state === 'running') || a.number - b.number)
      .find(({ number }) => index === undefined || number === index);
    const detail = first && (await engine.openObjects()).replicas(first.id)[0];
    if (detail === undefined) {
      throw new HyprError('STACK_NOT_RUNNING', `service "${service}" has no container${index === undefined ? '' : ` #${index}`}`, {
        hint: 'make it first: hypr compose create',
      });
    }
    return commit(invocation, { stack, detail, reference });
  });
};

const commit = async (
  { context, flags }: Invocation,
  { stack, detail, reference }: { stack: Stack; detail: ReplicaDetail; reference: string | undefined },
): Promise<number> => {
  const images = await (await context.engine()).openImages();
  const { commitMachine } = await import('../../engine/docker/machines/disk.ts');
  const words = {
    reference,
    author: flags.string('author'),
    message: flags.string('message'),
    changes: flags.list('change'),
    now: context.now(),
  };
  const image = await commitMachine({ stack, detail, images }, words, context.interrupts.signal);
  context.stdout.write(`${image.id}\n`);
  return 0;
};
