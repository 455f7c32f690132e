import { existsSync, mkdirSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { onAbort } from '../../base/abort.ts';
import { diskError } from '../../base/host/files.ts';
import { AsyncQueue } from '../../base/queue.ts';
import { openStateReader, type StateReader } from '../state/store.ts';

/**
 * Tells each time that the database of a home has changed, whoever has written to it, until the abort; of several changes at once in one.
 * The first is told at once: whoever reads then, and at each that follows, misses none.
 * Readers open and close files beside the database, too: only what SQLite counts as a change is told. Throws HYPR_PERMISSION,
 * HYPR_DISK_FULL, and what the watch throws where the kernel has no more of them.
 */
export async function* followState(database: string, signal: AbortSignal): AsyncGenerator<void> {
  const touched = new AsyncQueue<true>({ keepNewest: 1 });
  const folder = dirname(database);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw diskError(error, folder);
  }
  const name = basename(database);
  const watcher = watch(folder, (_, file) => {
    if (file?.startsWith(name) === true) {
      void touched.push(true);
    }
  }).on('error', (error) => touched.fail(error));
  const leave = onAbort(signal, () => touched.end());
  const state = new Versions(database);
  try {
    yield;
    for await (const _ of touched) {
      if (signal.aborted) {
        return;
      }
      if (state.hasChanged()) {
        yield;
      }
    }
  } finally {
    leave();
    watcher.close();
    state.close();
  }
}

/** What a connection that stays open knows of the writing of others. Opened once the database is there. */
class Versions {
  readonly #database: string;
  #reader: StateReader | undefined;
  #version = 0;

  constructor(database: string) {
    this.#database = database;
    this.hasChanged();
  }

  hasChanged(): boolean {
    const isNew = this.#reader === undefined;
    if (isNew && !existsSync(this.#database)) {
      return false;
    }
    this.#reader ??= openStateReader(this.#database);
    const version = this.#reader.version();
    const changed = isNew || version !== this.#version;
    this.#version = version;
    return changed;
  }

  close(): void {
    this.#reader?.close();
  }
}
