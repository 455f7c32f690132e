import type { Progress } from '../../base/progress.ts';
import { sanitiseName } from '../../base/sanitise.ts';
import type { OutputStream } from '../core/context.ts';
import { humanSize } from '../format/units.ts';
import type { ProgressRenderer } from './types.ts';

/** One line per event: `<id> <text> <details>`; byte counts only with the last event of a download. */
export const createPlainRenderer = (stream: OutputStream, options: { readonly prefix?: string } = {}): ProgressRenderer => {
  const last = new Map<string, string>();
  return {
    onProgress: (progress) => {
      const line = formatLine(progress);
      // Downloads report the same text several times a second; a log file needs it once.
      if (last.get(progress.id) !== line) {
        last.set(progress.id, line);
        stream.write(` ${options.prefix ?? ''}${line}\n`);
      }
    },
    onWarning: (message) => {
      stream.write(`warning: ${sanitiseName(message)}\n`);
    },
    printAbove: (write) => write(),
    close: () => {},
  };
};

const formatLine = (progress: Progress): string => {
  const size = progress.status === 'done' && progress.total !== undefined && progress.total > 0 ? humanSize(progress.total) : '';
  return [progress.id, progress.text, progress.details ?? '', size].map(sanitiseName).join(' ').trimEnd();
};
