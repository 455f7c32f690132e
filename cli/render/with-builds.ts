import type { BuildWarnings } from '../commands/build-warnings.ts';
import type { BuildRenderer, ProgressRenderer } from './types.ts';

/** A renderer that shows the builds of an operation, too: their steps if `steps` is given, and at the end what they warned of. */
export const withBuilds = (
  renderer: ProgressRenderer,
  { steps, warnings }: { readonly steps?: BuildRenderer; readonly warnings: BuildWarnings },
): ProgressRenderer => {
  let isOpen = true;
  return {
    ...renderer,
    onProgress: (progress) => {
      steps?.flush?.();
      renderer.onProgress(progress);
    },
    onBuild: (service, event) => {
      if (!warnings.take(service, event)) {
        steps?.onEvent(service, event);
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
