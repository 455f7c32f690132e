import type { Progress } from '../../base/progress.ts';
import { sanitiseName } from '../../base/sanitise.ts';
import type { OutputStream } from '../core/context.ts';
import { humanSize } from '../format/units.ts';
import type { ProgressRenderer } from './types.ts';

/** One line per event: `<id> <text> <details>`; byte counts only when the last of them came. */
export const createPlainRenderer = (stream: OutputStream, options: { readonly prefix?: string } = {}): ProgressRenderer => {
  const last = new Map<string, string>();
  return {
    onProgress: (progress) => {
      const line = formatLine(progress);
      // Downloads report several times a second with the same words: a log file needs them once.
      if (last.get(progress.id) !== line) {
        last.set(progress.id, line);
        stream.write(` ${options.prefix ?? ''}${line}\n`);
      }
    },
    onWarning: (message) => {
      stream.write(`warning: ${sanitiseName(message)}\n`);
    },
    aside: (write) => write(),
    close: () => {},
  };
};

const formatLine = (progress: Progress): string => {
  const size = progress.status === 'done' && progress.total !== undefined && progress.total > 0 ? humanSize(progress.total) : '';
  return [progress.id, progress.text, progress.details ?? '', size].map(sanitiseName).join(' ').trimEnd();
};
