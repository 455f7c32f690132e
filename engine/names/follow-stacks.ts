import { existsSync, type FSWatcher, readdirSync, watch } from 'node:fs';
import { join } from 'node:path';
import { sleep } from '../../base/deadline.ts';
import { isErrno, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { type ApiClient, connectApi } from '../api/client/client.ts';

const log = logger('names');

/** A supervisor's socket, in its stack's folder. */
export const SOCKET = 'api.sock';
/** A socket refuses between bind and listen, and so does the socket of a killed supervisor. */
const TRIES = 3;
const TRY_AGAIN_MS = 30;
const MOST_STACKS = 1000;

/** What is asked of each supervisor, without end. */
export type ReadStack<T> = (api: ApiClient, signal: AbortSignal) => AsyncIterable<T>;

/**
 * Listens to all stacks of this user: to those whose supervisor runs, and to each whose socket appears in the runtime
 * folder. `tell` gets the folder of a stack and each of its messages, and undefined as soon as its supervisor is gone. Returns a function
 * that ends it. Nothing is polled: the kernel reports folders and sockets (inotify), the supervisors what happens.
 */
export const followStacks = <T>(
  runtimeDir: string,
  read: ReadStack<T>,
  tell: (folder: string, message: T | undefined) => void,
): (() => void) => {
  const over = new AbortController();
  const folders = new Map<string, { close(): void }>();
  const look = (): void => {
    for (const name of stackFolders(runtimeDir)) {
      if (!folders.has(name) && folders.size < MOST_STACKS) {
        const folder = new StackFolder<T>({
          path: join(runtimeDir, name),
          read,
          tell: (message) => over.signal.aborted || tell(name, message),
          onGone: () => folders.delete(name),
        });
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

interface Following<T> {
  readonly path: string;
  readonly read: ReadStack<T>;
  readonly tell: (message: T | undefined) => void;
  readonly onGone: () => void;
}

/** One stack's folder: its socket comes and goes with its supervisor. */
class StackFolder<T> {
  readonly #path: string;
  readonly #following: Following<T>;
  readonly #over = new AbortController();
  #watcher: FSWatcher | undefined;
  #isListening = false;
  /** The socket changed while it was being listened to. */
  #isDue = false;

  constructor(following: Following<T>) {
    this.#path = following.path;
    this.#following = following;
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
    this.#following.onGone();
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
        for await (const message of this.#following.read(api, this.#over.signal)) {
          hasAnswered = true;
          this.#following.tell(message);
        }
      } catch (error) {
        log.debug('what a stack told has ended', { folder: this.#path, error: messageOf(error) });
      } finally {
        api.close();
      }
      if (hasAnswered) {
        this.#following.tell(undefined);
        return;
      }
      await sleep(TRY_AGAIN_MS, this.#over.signal).catch(() => {});
    }
  }
}
