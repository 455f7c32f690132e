import { setFlagsFromString } from 'node:v8';
import { neverAborts } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import { VERB_DEFAULTS } from '../../engine/model/option-defaults.ts';
import type { CliContext } from '../core/context.ts';
import { STOPPING } from '../core/interrupts.ts';
import { createRenderer } from '../render/create.ts';
import { feedEvent } from '../render/types.ts';
import type { AttachedUp } from '../session/attached-up.ts';
import { saySummary } from '../session/say-summary.ts';
import { finishHere } from './finish-here.ts';
import { preferencesOf } from './preferences.ts';
import { DashboardSession } from './session.tsx';
import { DashboardModel } from './state/model.ts';
import { planOf } from './state/plan.ts';

/**
 * Attached `up` as a full-screen dashboard. Ends with `d` (0, once what is under way has ended), `q` (0, stops the stack if the user confirms), Ctrl-C
 * (stops the stack, 130), or if `up` fails; that error is thrown once the normal screen is restored. With `look` nothing is brought
 * up, and Ctrl-C only leaves.
 */
export const runDashboard = async (up: AttachedUp, purpose: 'up' | 'look' = 'up'): Promise<number> => {
  const { context, flags } = up.invocation;
  keepHeapSmall();
  const model = new DashboardModel({ stack: up.stack.name, now: context.now, ...preferencesOf(context.settings) });
  model.plan = planOf(up.project, up.options.services, up.options.scale);
  const session = new DashboardSession(up, model);
  const release = context.interrupts.take(() => session.effects.interrupt());
  try {
    const ending = await session.run({ up: purpose === 'up', watch: up.invocation.command.name === 'up' && flags.bool('watch') });
    if (ending.how === 'failed') {
      printFailedSteps(model, context);
      throw await withSummary(up, ending.error);
    }
    if (ending.how === 'detach') {
      if (ending.unfinished !== undefined) {
        await finishHere(up, ending.unfinished).catch(async (error) => {
          throw await withSummary(up, error);
        });
      } else if (purpose === 'look') {
        return 0;
      }
      context.stderr.write(`${up.stack.name} goes on without the dashboard:\n`);
    } else if (purpose === 'up' || ending.how === 'stop') {
      await stopStack(up, context);
    } else {
      return 0;
    }
    await saySummary(context, up.stack);
    return ending.how === 'interrupt' ? 130 : 0;
  } finally {
    model.close();
    release();
  }
};

/**
 * A dashboard stays open for hours and makes garbage at the rate of the logs, of which V8 would keep 150 MB before it looks for any. Costs a
 * fourth more processor time under a flood of lines. Not for other commands: V8 takes no code cache of before for what is loaded from here on.
 */
const keepHeapSmall = (): void => setFlagsFromString('--optimize-for-size');

/** What runs goes on: it must not vanish with the screen. The error is the last thing said. */
const withSummary = async ({ invocation, stack }: AttachedUp, error: unknown): Promise<unknown> => {
  await saySummary(invocation.context, stack).catch(() => {});
  return error;
};

/** What the steps of builds that failed have printed, as `up -d` leaves it on the screen. */
const printFailedSteps = (model: DashboardModel, context: CliContext): void => {
  for (const [service, build] of model.builds) {
    for (const text of build.failures(service)) {
      context.stderr.write(text);
    }
  }
};

/** On the normal screen, with the usual progress; another Ctrl-C kills, a third one detaches. */
const stopStack = async ({ invocation, stack, project, options }: AttachedUp, context: CliContext): Promise<void> => {
  context.stderr.write(STOPPING);
  const stopping = new AbortController();
  const renderer = await createRenderer(context, invocation.flags, 'stop');
  const run = (verb: 'stop' | 'kill', signal: AbortSignal): Promise<void> =>
    stack.verb(verb, project, { ...VERB_DEFAULTS, timeout: options.timeout }, (event) => feedEvent(renderer, event), signal);
  const release = context.interrupts.take(
    () => stopping.abort(new HyprError('HYPR_CANCELLED', 'forced')),
    () => context.interrupts.force(),
  );
  try {
    await run('stop', stopping.signal).catch((error) => {
      if (!stopping.signal.aborted) {
        throw error;
      }
      return run('kill', neverAborts());
    });
  } finally {
    release();
    renderer.close();
  }
};
