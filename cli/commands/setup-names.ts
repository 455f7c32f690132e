import { HyprError, messageOf } from '../../base/errors.ts';
import { sanitiseText } from '../../base/sanitise.ts';
import type { RootWork, SetupStep, TrustApi } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import { confirm } from '../core/confirm.ts';
import { hasUnicode } from '../core/style.ts';

/** `hypr setup --browser`, `--system` and `--undo`: what names of services need beyond their stacks. */
export const setupNames: Handler = async (invocation) => {
  const { context, flags } = invocation;
  const chosen = (['browser', 'system', 'undo'] as const).filter((flag) => flags.bool(flag));
  if (flags.bool('undo') && chosen.length > 1) {
    throw new HyprError('HYPR_USAGE', '--undo removes what --browser and --system made; it is given alone');
  }
  const trust = await (await context.engine()).openTrust(context.interrupts.signal);
  // The browsers first: they need no root, so they work even where the other is refused.
  if (flags.bool('browser')) {
    await setupBrowsers(trust, invocation);
  }
  if (flags.bool('system')) {
    await runRootWork(trust, invocation, { work: await trust.planSystem(), nothing: 'names are set up for every program already' });
  }
  if (flags.bool('undo')) {
    await undo(trust, invocation);
  }
  return 0;
};

const setupBrowsers = async (trust: TrustApi, { context, flags }: Invocation): Promise<void> => {
  if (flags.bool('dry-run')) {
    const { trust: stores, proxy } = await trust.status();
    for (const { what, place, trusts } of stores.filter((one) => one.what !== 'system')) {
      context.stdout.write(`${what}: ${sanitiseText(place)}: ${trusts ? 'trusts it already' : 'would trust it'}\n`);
    }
    context.stdout.write(
      `proxy of the desktop: ${proxy.state === 'free' ? 'would be set for names of services' : sanitiseText(proxy.detail)}\n`,
    );
    return;
  }
  await trust.setupBrowser(stepPrinter({ context }));
  context.stderr.write('browsers that run have to be started again; hypr trust shows what trusts it\n');
};

const undo = async (trust: TrustApi, invocation: Invocation): Promise<void> => {
  const { undoDocker } = await import('./setup-docker.ts');
  // What cannot be read there must not keep the rest.
  await undoDocker(invocation).catch((error: unknown) =>
    invocation.context.stderr.write(`the context of docker stays: ${sanitiseText(messageOf(error))}\n`),
  );
  const work = await trust.planUndo();
  if (!invocation.flags.bool('dry-run')) {
    await trust.undoBrowser(stepPrinter(invocation));
  }
  await runRootWork(trust, invocation, { work, nothing: 'nothing of hypr is in files of this system' });
};

const stepPrinter = ({ context }: Pick<Invocation, 'context'>) => {
  const marks = hasUnicode(context.env) ? MARKS : PLAIN_MARKS;
  return ({ place, status, text }: SetupStep): void => {
    context.stdout.write(`${marks[status]} ${sanitiseText(place)}: ${sanitiseText(text)}\n`);
  };
};

const MARKS = { done: '✔', kept: '·', failed: '✗' } as const;
const PLAIN_MARKS = { done: '+', kept: '-', failed: 'x' } as const;

/** Prints everything that root would do, asks, and does it. */
const runRootWork = async (trust: TrustApi, { context, flags }: Invocation, { work, nothing }: { work: RootWork; nothing: string }) => {
  for (const line of work.kept) {
    context.stderr.write(`${sanitiseText(line)}\n`);
  }
  if (work.script === '') {
    context.stderr.write(`${nothing}\n`);
    return;
  }
  context.stdout.write(work.script);
  if (flags.bool('dry-run')) {
    return;
  }
  const command = flags.bool('undo') ? 'hypr setup --undo --yes' : 'hypr setup --system --yes';
  if (!flags.bool('yes') && !(await confirm(context, 'Run this as root? [y/N] ', command))) {
    throw new HyprError('HYPR_CANCELLED', 'nothing was done as root');
  }
  await trust.runAsRoot(work);
  context.stderr.write('done\n');
};
