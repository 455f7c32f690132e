import { messageOf } from '../../base/errors.ts';
import { hyprHome } from '../../base/paths.ts';
import { sanitiseText } from '../../base/sanitise.ts';
import { DOWN_DEFAULTS } from '../../engine/model/option-defaults.ts';
import type { Handler } from '../core/command-spec.ts';
import { confirm } from '../core/confirm.ts';
import { createRenderer } from '../render/create.ts';
import { feedEvent } from '../render/types.ts';

/** `hypr uninstall`: all stacks with their volumes, what --browser and --system set up, the home, and the program where the install script put it. */
export const runUninstall: Handler = async (invocation) => {
  const { context, flags } = invocation;
  const engine = await context.engine();
  const { stacks, volumes } = await engine.homeContent();
  const home = hyprHome(context.env);
  const lost = `${listOf('these stacks', stacks)}${listOf('these volumes with all their data', volumes)}`;
  if (flags.bool('dry-run')) {
    context.stdout.write(`would remove ${home}${lost}\n`);
    return 0;
  }
  if (!flags.bool('yes') && !(await confirm(context, `Remove ${home}${lost}? [y/N] `, 'hypr uninstall --yes'))) {
    context.stderr.write('nothing was removed\n');
    return 1;
  }
  const { signal } = context.interrupts;
  for (const name of stacks) {
    const renderer = await createRenderer(context, flags, 'down');
    const stack = await engine.openStack({ name });
    try {
      await stack.down(undefined, { ...DOWN_DEFAULTS, volumes: true, removeOrphans: true }, (event) => feedEvent(renderer, event), signal);
    } finally {
      renderer.close();
      await stack.close();
    }
  }
  const { undoDocker } = await import('./setup-docker.ts');
  await undoDocker(invocation).catch((error: unknown) =>
    context.stderr.write(`the context of docker stays: ${sanitiseText(messageOf(error))}\n`),
  );
  const trust = await engine.openTrust(signal);
  await trust.undoBrowser(({ place, text }) => context.stderr.write(`${sanitiseText(place)}: ${sanitiseText(text)}\n`));
  const work = await trust.planUndo();
  if (work.script !== '') {
    context.stdout.write(work.script);
    await trust.runAsRoot(work);
  }
  const { left, program, isProgramRemoved } = await engine.removeHome();
  context.stderr.write(
    left.length === 0 ? `removed ${home}\n` : `${home} has more than hypr's files, which stay: ${left.map(sanitiseText).join(', ')}\n`,
  );
  context.stderr.write(
    isProgramRemoved
      ? 'hypr is removed\n'
      : `the program is still in ${sanitiseText(program)}: npm uninstall -g hypr, or apt-get remove hypr\n`,
  );
  return 0;
};

const listOf = (what: string, names: readonly string[]): string =>
  names.length === 0 ? '' : `, ${what}: ${names.map(sanitiseText).join(', ')}`;
