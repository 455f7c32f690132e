import { existsSync, type FSWatcher, readdirSync, watch } from 'node:fs';
import { join } from 'node:path';
import { sleep } from '../../base/deadline.ts';
import { isErrno, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { connectApi } from '../api/client/client.ts';
import { namesFrom } from '../api/messages/names.ts';
import type { PublishedNames } from '../model/published-names.ts';

const log = logger('names');

/** A supervisor's socket, in its stack's folder. */
export const SOCKET = 'api.sock';
/** A socket refuses between bind and listen, and so does the socket of a killed supervisor. */
const TRIES = 3;
const TRY_AGAIN_MS = 30;
const MOST_STACKS = 1000;

/**
 * Listens to the names of all stacks of this user: to those whose supervisor runs, and to each whose socket appears in the runtime
 * folder. `tell` gets the folder of a stack and its names after each change, and undefined as soon as its supervisor is gone. Returns a function
 * that ends it. Nothing is polled: the kernel reports folders and sockets (inotify), the supervisors their names.
 */
export const followStacks = (runtimeDir: string, tell: (folder: string, names: PublishedNames | undefined) => void): (() => void) => {
  const over = new AbortController();
  const folders = new Map<string, { close(): void }>();
  const look = (): void => {
    for (const name of stackFolders(runtimeDir)) {
      if (!folders.has(name) && folders.size < MOST_STACKS) {
        const folder = new StackFolder(
          join(runtimeDir, name),
          (names) => over.signal.aborted || tell(name, names),
          () => folders.delete(name),
        );
        folders.set(name, folder);
        folder.open();
      }
    }
  };
  const watcher = watch(runtimeDir, look);
  watcher.on('error', (error) => log.warn('the runtime folder is not watched', { error: error.message }));
  look();
  return () => {
    over.abort();
    watcher.close();
    for (const folder of [...folders.values()]) {
      folder.close();
    }
  };
};

/** Folders of stacks in the runtime folder, among others. */
export const stackFolders = (runtimeDir: string): string[] => {
  try {
    return readdirSync(runtimeDir, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return [];
  }
};

/** One stack's folder: its socket comes and goes with its supervisor. */
class StackFolder {
  readonly #path: string;
  readonly #tell: (names: PublishedNames | undefined) => void;
  readonly #onGone: () => void;
  readonly #over = new AbortController();
  #watcher: FSWatcher | undefined;
  #isListening = false;
  /** The socket changed while it was being listened to. */
  #isDue = false;

  constructor(path: string, tell: (names: PublishedNames | undefined) => void, onGone: () => void) {
    this.#path = path;
    this.#tell = tell;
    this.#onGone = onGone;
  }

  open(): void {
    try {
      this.#watcher = watch(this.#path, (_, file) => this.#onChange(file));
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) {
        log.warn('a stack is not watched', { folder: this.#path, error: messageOf(error) });
      }
      this.close();
      return;
    }
    this.#watcher.on('error', () => this.close());
    this.#onChange(SOCKET);
  }

  close(): void {
    this.#over.abort();
    this.#watcher?.close();
    this.#onGone();
  }

  #onChange(file: string | null): void {
    if (!existsSync(this.#path)) {
      this.close();
    } else if (file === SOCKET && existsSync(join(this.#path, SOCKET))) {
      this.#isDue = true;
      void this.#listenWhileDue();
    }
  }

  async #listenWhileDue(): Promise<void> {
    if (this.#isListening) {
      return;
    }
    this.#isListening = true;
    while (this.#isDue && !this.#over.signal.aborted) {
      this.#isDue = false;
      await this.#listen();
    }
    this.#isListening = false;
  }

  /** Until the supervisor is gone. Never rejects. */
  async #listen(): Promise<void> {
    for (let tries = 0; tries < TRIES && !this.#over.signal.aborted; tries += 1) {
      const api = connectApi(join(this.#path, SOCKET));
      let hasAnswered = false;
      try {
        for await (const message of api.rpc.names({}, { signal: this.#over.signal })) {
          hasAnswered = true;
          this.#tell(namesFrom(message));
        }
      } catch (error) {
        log.debug('the names of a stack have ended', { folder: this.#path, error: messageOf(error) });
      } finally {
        api.close();
      }
      if (hasAnswered) {
        this.#tell(undefined);
        return;
      }
      await sleep(TRY_AGAIN_MS, this.#over.signal).catch(() => {});
    }
  }
}
