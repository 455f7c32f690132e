import type { CliContext, OutputStream } from './context.ts';

/** Writes and waits until a slow reader has caught up. */
export const writeOut = (stream: OutputStream, data: string | Uint8Array): Promise<void> =>
  new Promise((resolve) => {
    if (stream.write(data)) {
      resolve();
    } else {
      stream.once('drain', resolve);
    }
  });

/** Resolves when everything written so far has left the process. */
export const flush = (stream: OutputStream): Promise<void> => new Promise((resolve) => stream.write('', () => resolve()));

/** A message for people, beside the data. */
export const say = (context: Pick<CliContext, 'stderr'>, text: string): void => {
  context.stderr.write(`${text}\n`);
};
