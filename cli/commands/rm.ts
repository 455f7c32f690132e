import { VERB_DEFAULTS } from '../../engine/model/option-defaults.ts';
import type { Handler } from '../core/command-spec.ts';
import { confirm } from '../core/confirm.ts';
import { say } from '../core/output.ts';
import { checkServices, withStack } from '../core/project.ts';
import { createRenderer } from '../render/create.ts';
import { feedEvent } from '../render/types.ts';
import { servicesOf } from './verbs.ts';

/** `rm`: removes stopped replicas (with `-s` running ones, too), after asking on a terminal. */
export const runRm: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const options = { ...VERB_DEFAULTS, services: args, stop: flags.bool('stop'), volumes: flags.bool('volumes') };
  return withStack(invocation, async (stack, project) => {
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
