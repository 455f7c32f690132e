import { withDeadline } from '../../base/deadline.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import type { DiskPlace, DiskSpec } from '../model/machine.ts';
import { pluggedDisk } from './command.ts';
import { type Qmp, unlessUnknown } from './qmp.ts';
import { lendDisk, takeBack } from './vmdk.ts';

/** A guest under emulation on a loaded host may take long to release a device. */
const UNPLUG_MS = 60_000;

/** The free ports of a running machine, and the disks in them. */
export class Ports {
  readonly #qmp: Qmp;
  readonly #folder: string | undefined;
  readonly #free: number[];
  readonly #waiting = new Map<string, () => void>();

  /** `folder`: the machine's own, the only one that a QEMU in its fence can open files of. */
  constructor(qmp: Qmp, free: readonly number[], folder?: string) {
    this.#qmp = qmp;
    this.#folder = folder;
    this.#free = [...free];
    qmp.onEvent(({ event, data }) => {
      if (event === 'DEVICE_DELETED' && typeof data.device === 'string') {
        this.#waiting.get(data.device)?.();
      }
    });
  }

  /** A free port. Throws VMM_START if none is left. */
  take(): number {
    const port = this.#free.shift();
    if (port === undefined) {
      throw new HyprError('VMM_START', 'the machine has no port left for another device');
    }
    return port;
  }

  /** Added last, so that it is reused last: the guest may not have finished the removal of what was in it. */
  giveBack(port: number): void {
    this.#free.push(port);
  }

  /**
   * Throws VMM_START if no port is left, or with QEMU's message if it cannot open the disk. Once QEMU was asked, an abort is not heard: whoever
   * gave up takes the disk out again.
   */
  async plug(disk: DiskSpec, signal?: AbortSignal): Promise<DiskPlace> {
    signal?.throwIfAborted();
    const port = this.take();
    const asked = { isLeft: false };
    try {
      const lent = this.#folder === undefined ? undefined : await lendDisk(disk, this.#folder, `plug${port}`);
      signal?.throwIfAborted();
      await this.#add(lent ?? disk, port, asked);
    } catch (error) {
      if (!asked.isLeft) {
        this.#free.unshift(port);
      }
      await this.#takeBack({ disk, port }).catch(() => {});
      signal?.throwIfAborted();
      throw new HyprError('VMM_START', `the disk ${disk.path} cannot be plugged in: ${messageOf(error)}`, { cause: error });
    }
    return { disk, port };
  }

  async #takeBack({ disk, port }: DiskPlace): Promise<void> {
    if (this.#folder !== undefined) {
      await takeBack(disk, this.#folder, `plug${port}`);
    }
  }

  /** On failure `isLeft` says that QEMU may still have the disk, and that its port is of no use to another. */
  async #add(disk: DiskSpec, port: number, outcome: { isLeft: boolean }): Promise<void> {
    const { node, block, device } = pluggedDisk(disk, port);
    try {
      await this.#qmp.run('blockdev-add', block);
      outcome.isLeft = true;
      await this.#qmp.run('device_add', device);
    } catch (error) {
      // An answer that did not come says nothing: what was asked may have been done.
      if (outcome.isLeft || isTimeout(error)) {
        outcome.isLeft = await this.#qmp.run('blockdev-del', { 'node-name': node }).then(
          () => false,
          () => true,
        );
      }
      throw error;
    }
  }

  /** Takes a plugged disk away, which the guest must have unmounted. Throws HYPR_TIMEOUT when it does not let go of it. */
  async unplug(place: DiskPlace, signal?: AbortSignal): Promise<void> {
    const { disk, port } = place;
    try {
      await this.remove(port, 'a disk', signal);
      // No signal: asked twice, QEMU would not know it any more.
      await this.#qmp.run('blockdev-del', { 'node-name': pluggedDisk(disk, port).node });
      this.giveBack(port);
    } finally {
      await this.#takeBack(place);
    }
  }

  /** Takes the device out of a port. The guest releases it asynchronously, and only then QEMU closes what is behind it. */
  async remove(port: number, what: string, signal?: AbortSignal): Promise<void> {
    const id = `s${port}`;
    const gone = new Promise<void>((resolve) => this.#waiting.set(id, resolve));
    try {
      await this.#qmp.run('device_del', { id }, signal).catch((error: unknown) => {
        unlessUnknown(error);
        // The guest let go of it after somebody had stopped waiting.
        this.#waiting.get(id)?.();
      });
      await withDeadline({ ms: UNPLUG_MS, what: `the guest to let go of ${what}`, signal }, () => gone);
    } finally {
      this.#waiting.delete(id);
    }
  }
}

const isTimeout = (error: unknown): boolean => error instanceof HyprError && error.code === 'HYPR_TIMEOUT';
