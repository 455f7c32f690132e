import { HyprError } from '../../base/errors.ts';
import { UP_DEFAULTS } from '../../engine/model/option-defaults.ts';
import type { Handler } from '../core/command-spec.ts';
import { loadBuildable, openStack } from '../core/project.ts';
import { feedEvent } from '../render/types.ts';
import { createBuildingRenderer } from '../render/with-builds.ts';
import { startProviders } from './providers.ts';

/** `watch`: builds and starts the services, then keeps them up to date with `develop.watch` until Ctrl-C. */
export const runWatch: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const asWritten = await loadBuildable(invocation, args);
  const engine = await context.engine();
  if (
    !Object.entries(asWritten.services).some(
      ([name, service]) => (args.length === 0 || args.includes(name)) && service.develop !== undefined,
    )
  ) {
    throw new HyprError('COMPOSE_INVALID', 'none of the selected services is configured for watch', {
      hint: 'say what to watch under develop.watch of a service',
    });
  }
  // Only now: a command that is refused has run nothing.
  const project = await startProviders(invocation, asWritten);
  const services = args.filter((name) => asWritten.services[name]?.provider === undefined);
  const { signal } = context.interrupts;
  return openStack(invocation, project.name, async (stack) => {
    const up = { ...UP_DEFAULTS, services };
    if (!flags.bool('no-up')) {
      const renderer = await createBuildingRenderer(context, flags, 'watch');
      try {
        await stack.up(project, { ...up, build: true }, (event) => feedEvent(renderer, event), signal);
      } finally {
        renderer.close();
      }
    }
    const onEvent = (event: Parameters<typeof feedEvent>[1]): void => {
      if (event.type === 'warning') {
        context.stderr.write(`warning: ${event.message}\n`);
      }
    };
    const onNotice = (text: string): void => {
      if (!flags.bool('quiet')) {
        context.stderr.write(` ⦿ ${text}\n`);
      }
    };
    const onOutput = (_service: string, data: Uint8Array) => void context.stdout.write(data);
    const debug = flags.bool('verbose') ? { onDebug: (text: string) => void context.stderr.write(`debug: ${text}\n`) } : {};
    await engine.watch(stack, project, { services, up, onNotice, onEvent, onOutput, ...debug }, signal);
    return 130;
  });
};
