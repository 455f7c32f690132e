import { watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { orAbort } from '../../base/abort.ts';
import { exists } from '../../base/host/files.ts';

/** Resolves when a file (a server's socket) exists. It watches the folder instead of polling. */
export const awaitFile = async (path: string, signal: AbortSignal): Promise<void> => {
  const watcher = watch(dirname(path));
  try {
    const appeared = new Promise<void>((resolve, reject) => {
      watcher.on('error', reject);
      watcher.on('change', (_, name) => {
        if (name === basename(path)) {
          resolve();
        }
      });
    });
    appeared.catch(() => {});
    if (await exists(path)) {
      return;
    }
    await orAbort(appeared, signal);
  } finally {
    watcher.close();
  }
};
