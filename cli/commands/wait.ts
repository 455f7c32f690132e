import { DOWN_DEFAULTS } from '../../engine/model/option-defaults.ts';
import type { Handler } from '../core/command-spec.ts';
import { checkServices, withStack } from '../core/project.ts';
import { createRenderer } from '../render/create.ts';
import { feedEvent } from '../render/types.ts';
import { servicesOf } from './verbs.ts';

/** `wait`: exits with the code of the first service that ends; `--down-project` then removes the stack. */
export const runWait: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  return withStack(invocation, async (stack, project) => {
    checkServices(args, project?.services ?? (await servicesOf(stack)));
    const code = await stack.wait(args, context.interrupts.signal);
    context.stdout.write(`${code}\n`);
    if (flags.bool('down-project')) {
      const renderer = await createRenderer(context, flags, 'down');
      try {
        await stack.down(project, DOWN_DEFAULTS, (event) => feedEvent(renderer, event), context.interrupts.signal);
      } finally {
        renderer.close();
      }
    }
    return code;
  });
};
