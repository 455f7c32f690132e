import { HyprError } from '../../base/errors.ts';
import type { Handler } from '../core/command-spec.ts';
import type { CliContext } from '../core/context.ts';
import { canAnimate } from '../core/style.ts';

/** `ui`, and `hypr` alone: all stacks on a screen. */
export const runUi: Handler = async (invocation) => {
  const { context } = invocation;
  if (!hasScreen(context)) {
    throw new HyprError('HYPR_USAGE', 'the screen of all stacks needs a terminal for input and output', { hint: 'use: hypr ls -a' });
  }
  const { runStacks } = await import('../dashboard/run-stacks.tsx');
  return runStacks(invocation);
};

/** Whether input and output are one terminal that can be drawn on. */
export const hasScreen = ({ stdin, stdout, env }: Pick<CliContext, 'stdin' | 'stdout' | 'env'>): boolean =>
  stdin.isTTY === true && canAnimate(stdout, env);

/** Whether `hypr` without a word opens the screen: there is one, nobody has said no, and there is a stack. Else it prints help. */
export const opensScreen = async (context: CliContext): Promise<boolean> => {
  if (!hasScreen(context) || context.env.CI || /^(0|false)$/i.test(context.env.COMPOSE_MENU ?? '')) {
    return false;
  }
  try {
    return (await (await context.engine()).listStacks({ all: true })).length > 0;
  } catch {
    return false;
  }
};
