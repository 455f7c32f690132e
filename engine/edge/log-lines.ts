import { type FSWatcher, watch } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { LogSource } from '../../net/edge/http/types.ts';
import { parseLine, readTail } from '../logs/log-file.ts';

/** Lines shown of each stack, and how much of a file is read for them. */
const LINES = 6;
const TAIL_BYTES = 8 * 1024;
const MOST_FILES = 40;
const SETTLE_MS = 250;

/** The last lines of stacks, read from their log files: whichever process supervises them, and without asking it. */
export const openLogLines = (folder: string): LogSource => ({
  recent: async (stacks) => (await Promise.all(stacks.map((stack) => lastLines(join(folder, stack), stack)))).flat(),
  onChange: (listener) => watchLines(folder, listener),
});

const lastLines = async (folder: string, stack: string): Promise<Awaited<ReturnType<LogSource['recent']>>> => {
  const files = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.jsonl')).slice(0, MOST_FILES);
  const read = await Promise.all(
    files.map(async (name) => {
      const replica = name.slice(0, -'.jsonl'.length);
      const lines = (await readTail(join(folder, name), TAIL_BYTES)).split('\n');
      return lines.flatMap((line) => parseLine(line, { replica, service: '' }) ?? []).slice(-LINES);
    }),
  );
  return read
    .flat()
    .sort((a, b) => a.time - b.time)
    .slice(-LINES)
    .map(({ replica, time, line }) => ({ stack, replica, time, line }));
};

/** Calls back after writes below the folder, at most four times a second. */
const watchLines = (folder: string, listener: () => void): (() => void) => {
  let timer: NodeJS.Timeout | undefined;
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(folder, { recursive: true }, (_kind, name) => {
      if (name?.endsWith('.jsonl')) {
        timer ??= setTimeout(() => {
          timer = undefined;
          listener();
        }, SETTLE_MS);
      }
    });
    watcher.on('error', () => {});
  } catch {
    // No stack has written anything yet; names and states are shown without lines.
  }
  return () => {
    clearTimeout(timer);
    watcher?.close();
  };
};
