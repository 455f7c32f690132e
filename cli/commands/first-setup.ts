import type { ProgressSink } from '../../base/progress.ts';
import { SETUP_STEPS } from '../../engine/model/types.ts';
import type { CliContext } from '../core/context.ts';
import type { Flags } from '../core/flags.ts';
import { createRenderer, progressMode, progressStream } from '../render/create.ts';

/** Before a command that starts machines: `hypr setup`, with its progress, where it has not run for this version of hypr. */
export const ensureSetUp = async (context: CliContext, flags: Flags): Promise<void> => {
  const engine = await context.engine();
  if (await engine.isSetUp()) {
    return;
  }
  context.stderr.write('hypr is not set up yet: fetching QEMU and the kernel for guests, once\n');
  await withSteps(context, flags, SETUP_STEPS, (onProgress) => engine.setup(onProgress, context.interrupts.signal));
};

/** Shows the steps of work as the flags and the terminal want it. */
export const withSteps = async <T>(
  context: CliContext,
  flags: Flags,
  steps: readonly string[],
  work: (onProgress: ProgressSink) => Promise<T>,
): Promise<T> => {
  if (progressMode(context, flags) === 'tty') {
    const { showSteps } = await import('../render/steps.ts');
    const shown = showSteps(steps, progressStream(context));
    return await work(shown.onProgress).finally(() => shown.end());
  }
  const renderer = await createRenderer(context, flags, 'setup');
  return await work(renderer.onProgress).finally(() => renderer.close());
};
