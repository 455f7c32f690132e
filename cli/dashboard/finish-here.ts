import { HyprError, isAbort } from '../../base/errors.ts';
import { feedEvent, type ProgressRenderer } from '../render/types.ts';
import { createBuildingRenderer } from '../render/with-builds.ts';
import type { AttachedUp } from '../session/attached-up.ts';
import { interruptedUp } from '../session/interrupted-up.ts';
import type { Unfinished } from './operations.ts';

/**
 * The dashboard was left while something was under way: it goes on here, on the normal screen, as without a dashboard. Resolves when it has
 * ended. Throws what failed; HYPR_CANCELLED when Ctrl-C has called it off.
 */
export const finishHere = async ({ invocation }: AttachedUp, unfinished: Unfinished): Promise<void> => {
  const { context, flags } = invocation;
  const { names } = unfinished;
  const [goes, it] = names.length === 1 ? ['goes', 'it'] : ['go', 'them'];
  let isCalledOff = false;
  // Before anything is said of Ctrl-C.
  const release = context.interrupts.take(
    () => {
      isCalledOff = true;
      unfinished.callOff(new HyprError('HYPR_CANCELLED', 'interrupted'));
    },
    () => context.interrupts.force(),
  );
  context.stderr.write(`${names.join(', ')} ${goes} on here; Ctrl-C calls ${it} off\n`);
  let renderer: ProgressRenderer | undefined;
  try {
    const shown = await createBuildingRenderer(context, flags, names[0] ?? '');
    renderer = shown;
    unfinished.follow((event) => feedEvent(shown, event));
    await unfinished.done;
  } catch (error) {
    throw isCalledOff && isAbort(error) ? interruptedUp(false, error) : error;
  } finally {
    release();
    renderer?.close();
  }
};
