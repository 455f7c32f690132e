import type { CliContext } from '../core/context.ts';
import type { Flags } from '../core/flags.ts';
import { createPlainBuild } from './build-plain.ts';
import { BuildWarnings } from './build-warnings.ts';
import { createRenderer, progressMode } from './create.ts';
import type { BuildRenderer, ProgressRenderer } from './types.ts';

/**
 * The renderer of a command that builds on its way: the steps of builds are lines of text on stdout, as docker compose has them,
 * while a picture shows them above its rows; both are followed by what the builds warned of.
 */
export const createBuildingRenderer = async (context: CliContext, flags: Flags, title: string): Promise<ProgressRenderer> => {
  const renderer = await createRenderer(context, flags, title);
  const mode = progressMode(context, flags);
  if (mode !== 'plain' && mode !== 'tty') {
    return renderer;
  }
  const steps = mode === 'plain' ? createPlainBuild(context.stdout) : undefined;
  return withBuilds(renderer, steps, new BuildWarnings(context, false));
};

const withBuilds = (renderer: ProgressRenderer, steps: BuildRenderer | undefined, warnings: BuildWarnings): ProgressRenderer => {
  let isOpen = true;
  return {
    ...renderer,
    onProgress: (progress) => {
      steps?.flush?.();
      renderer.onProgress(progress);
    },
    onBuild: (service, event) => {
      if (warnings.take(service, event)) {
        return;
      }
      if (steps === undefined) {
        renderer.onBuild?.(service, event);
      } else {
        steps.onEvent(service, event);
      }
    },
    close: () => {
      steps?.close();
      renderer.close();
      if (isOpen) {
        isOpen = false;
        warnings.print();
      }
    },
  };
};
