import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { sleep } from '../../base/deadline.ts';
import { isAbort, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';

const log = logger('vmm');

/** Free space with which a held machine goes on: more than state and logs need (base/host/ballast.ts), so that it does not take theirs. */
const ENOUGH_BYTES = 32 * 1024 * 1024;
/** File systems give no event when they get room. */
const LOOK_MS = 1_000;

interface Held {
  /** Files of the machine's writable disks. */
  readonly disks: readonly string[];
  /** Lets the machine go on; QEMU then writes again what it could not. */
  readonly proceed: () => Promise<void>;
  readonly onChange: (held: boolean) => void;
}

/**
 * A machine whose disk on the host is full. QEMU has stopped it before its guest saw an error, with the write that failed kept
 * (`werror=enospc`), so that nothing is lost: it goes on when there is space.
 */
export class DiskHold {
  readonly #machine: Held;
  #waiting: AbortController | undefined;

  constructor(machine: Held) {
    this.#machine = machine;
  }

  get isHeld(): boolean {
    return this.#waiting !== undefined;
  }

  /** Waits for space, then has the machine go on; it may be held again at once. */
  begin(): void {
    if (this.#waiting === undefined) {
      this.#waiting = new AbortController();
      this.#machine.onChange(true);
      void this.#wait(this.#waiting.signal);
    }
  }

  /** Somebody else stopped the machine, or it is gone. */
  end(): void {
    this.#waiting?.abort();
    if (this.#waiting !== undefined) {
      this.#waiting = undefined;
      this.#machine.onChange(false);
    }
  }

  async #wait(signal: AbortSignal): Promise<void> {
    try {
      // Never at once: a quota or a file system's own needs may refuse a write where there seems to be room.
      do {
        await sleep(LOOK_MS, signal);
      } while (!(await hasRoom(this.#machine.disks)));
      signal.throwIfAborted();
      this.end();
      await this.#machine.proceed();
    } catch (error) {
      if (!isAbort(error)) {
        log.warn('a machine whose disk was full does not go on', { error: messageOf(error) });
      }
    }
  }
}

/** Whether the host's disks of all these files have space for a user who is not root. */
const hasRoom = async (files: readonly string[]): Promise<boolean> => {
  const stats = await Promise.all(files.map((file) => statfs(file).catch(() => statfs(dirname(file)))));
  return stats.every(({ bavail, bsize }) => bavail * bsize >= ENOUGH_BYTES);
};
