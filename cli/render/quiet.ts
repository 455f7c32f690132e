import { sanitiseName } from '../../base/sanitise.ts';
import type { OutputStream } from '../core/context.ts';
import type { ProgressRenderer } from './types.ts';

/** Only warnings. */
export const createQuietRenderer = (stream: OutputStream): ProgressRenderer => ({
  onProgress: () => {},
  onWarning: (message) => {
    stream.write(`warning: ${sanitiseName(message)}\n`);
  },
  printAbove: (write) => write(),
  close: () => {},
});
