import type { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { HyprError, messageOf } from '../../base/errors.ts';
import type { ProcessIdentity } from '../../base/host/process.ts';
import { logger } from '../../base/log.ts';
import type { MachineSpec } from '../model/machine.ts';
import type { Accelerator, QemuSettings } from '../qemu/command.ts';
import { type RootedDisks, rootDisks } from '../qemu/machine-class.ts';
import type { Template } from '../template/types.ts';
import { startZygote, type Zygote } from './zygote.ts';

/**
 * Where machines of the same image are copies of one process. Kept for the processes of one hypr; whatever goes wrong
 * here, a machine begins as if there were none.
 */
export interface Nursery {
  /**
   * A process for a machine that is to be a clone of the template, its guest stopped; undefined when it has to be started
   * in the ordinary way. The first of many waits until there is something to be copied, the others do not.
   */
  copy(request: CopyRequest): Promise<ProcessIdentity | undefined>;
}

export interface CopyRequest {
  readonly spec: MachineSpec;
  readonly template: Template;
  readonly cards: readonly Socket[];
  readonly signal?: AbortSignal | undefined;
}

export interface NurseryOptions {
  readonly settings: QemuSettings;
  /** Milliseconds after the last copy until a zygote ends. */
  readonly idleMs?: number;
  /** How a zygote is started; replaced by tests that start no machine. */
  readonly start?: typeof startZygote;
}

/**
 * A copy is worth its price where translated code comes with it. With KVM nothing is translated; and a virtual machine
 * of KVM belongs to the process that made it (KVM_CREATE_VM), and to no copy of that.
 */
const COPIES: Record<Accelerator, boolean> = { tcg: true, kvm: false };

/** A zygote's start costs a clone's and a half, and each copy saves three quarters of a clone's. */
const WORTH_IT = 3;
const IDLE_MS = 5_000;

const log = logger('vmm');

export const createNursery = (options: NurseryOptions): Nursery => new Zygotes(options);

interface Place {
  zygote: Zygote | undefined;
  failed: boolean;
  timer: NodeJS.Timeout | undefined;
}

type Eligible = CopyRequest & {
  readonly card: Socket;
  readonly disks: RootedDisks;
  readonly template: Template & { ram: string; upper: string };
};

class Zygotes implements Nursery {
  readonly #settings: QemuSettings;
  readonly #idleMs: number;
  readonly #start: typeof startZygote;
  /** By the key of their template. */
  readonly #places = new Map<string, Place>();
  #count = 0;

  constructor({ settings, idleMs = IDLE_MS, start = startZygote }: NurseryOptions) {
    this.#settings = settings;
    this.#idleMs = idleMs;
    this.#start = start;
  }

  async copy(request: CopyRequest): Promise<ProcessIdentity | undefined> {
    const eligible = this.#eligible(request);
    if (eligible === undefined) {
      return undefined;
    }
    const { template, spec, card, signal } = eligible;
    try {
      const zygote = this.#places.get(template.key)?.zygote ?? (await this.#begin(eligible));
      return await zygote?.copy(spec, card, signal);
    } catch (error) {
      signal?.throwIfAborted();
      const details = error instanceof HyprError ? error.details : [];
      log.warn('a machine could not be copied; starting it', {
        machine: spec.name,
        template: template.key,
        reason: messageOf(error),
        details,
      });
      await this.#giveUp(template.key);
      return undefined;
    } finally {
      this.#rest(template.key);
    }
  }

  /** Machines with a root, a layer and one card, which is most of those that there are many of. */
  #eligible(request: CopyRequest): Eligible | undefined {
    const { spec, template, cards } = request;
    const { ram, upper } = template;
    const disks = rootDisks(spec);
    const [card] = cards;
    const plain = spec.disks.length === 2 && spec.nics.length === 1 && spec.shares.length === 0;
    if (!COPIES[this.#settings.accelerator] || this.#settings.toolchain.preload === null || !plain) {
      return undefined;
    }
    return ram === undefined || upper === undefined || disks === undefined || card === undefined
      ? undefined
      : { ...request, card, disks, template: { ...template, ram, upper } };
  }

  /** Undefined when it is not worth it, was tried in vain, or is under way for another machine. */
  async #begin({ spec, template, disks, signal }: Eligible): Promise<Zygote | undefined> {
    if (this.#places.has(template.key) || (spec.siblings ?? 0) < WORTH_IT) {
      return undefined;
    }
    const place: Place = { zygote: undefined, failed: false, timer: undefined };
    this.#places.set(template.key, place);
    this.#count += 1;
    const runDir = join(dirname(spec.runDir), `z${this.#count}-${template.key.slice(0, 6)}`);
    const begin = Date.now();
    try {
      const zygote = await this.#start({ settings: this.#settings, template, spec, disks, runDir, signal });
      place.zygote = zygote;
      void zygote.ended.then(() => this.#forget(template.key, place));
      log.info('a machine to be copied is ready', { template: template.key, ms: Date.now() - begin });
      return zygote;
    } catch (error) {
      // Another command may try again; what failed for itself is not tried twice.
      if (signal?.aborted) {
        this.#places.delete(template.key);
      }
      throw error;
    }
  }

  /** The next command may have another, unless this one was given up. */
  #forget(key: string, place: Place): void {
    clearTimeout(place.timer);
    if (this.#places.get(key) === place && !place.failed) {
      this.#places.delete(key);
    }
  }

  async #giveUp(key: string): Promise<void> {
    const place = this.#places.get(key);
    if (place !== undefined) {
      place.failed = true;
      await this.#end(place);
    }
  }

  /** Ends a zygote that has had nothing to do for a while: its memory is the host's to use. */
  #rest(key: string): void {
    const place = this.#places.get(key);
    if (place === undefined) {
      return;
    }
    clearTimeout(place.timer);
    place.timer = setTimeout(() => void this.#end(place), this.#idleMs).unref();
  }

  async #end(place: Place): Promise<void> {
    const { zygote } = place;
    place.zygote = undefined;
    clearTimeout(place.timer);
    await zygote?.end().catch((error: unknown) => log.warn('a machine to be copied did not end', { reason: messageOf(error) }));
  }
}
