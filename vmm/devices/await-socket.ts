import { watch } from 'node:fs';
import { open } from 'node:fs/promises';
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

/** Resolves when a growing file contains a text after the offset `from`; watches the file instead of polling. */
export const awaitText = async (wanted: {
  readonly path: string;
  readonly from: number;
  readonly text: string;
  readonly signal: AbortSignal;
}): Promise<void> => {
  const { path, from, text, signal } = wanted;
  const watcher = watch(path);
  try {
    for (;;) {
      const changed = new Promise<void>((resolve, reject) => {
        watcher.once('change', () => resolve());
        watcher.once('error', reject);
      });
      changed.catch(() => {});
      if ((await readFrom(path, from)).includes(text)) {
        return;
      }
      await orAbort(changed, signal);
    }
  } finally {
    watcher.close();
  }
};

const MAX_TEXT = 64 * 1024;

const readFrom = async (path: string, from: number): Promise<string> => {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_TEXT), 0, MAX_TEXT, from);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
};
