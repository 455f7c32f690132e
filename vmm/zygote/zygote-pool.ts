import type { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { HyprError, messageOf } from '../../base/errors.ts';
import type { ProcessIdentity } from '../../base/host/process.ts';
import { logger } from '../../base/log.ts';
import type { MachineSpec } from '../model/machine.ts';
import type { Accelerator } from '../qemu/accelerator.ts';
import type { QemuSettings } from '../qemu/command.ts';
import { probeMachineFence } from '../qemu/fence-probe.ts';
import { type RootedDisks, rootDisks } from '../qemu/machine-class.ts';
import type { Template } from '../template/types.ts';
import { startZygote, type Zygote } from './zygote.ts';

/**
 * Zygotes, one per template: a zygote is a QEMU with a stopped guest that machines of the same image are forked from. The pool
 * belongs to one hypr process. When a copy fails, the machine starts as it would without the pool.
 */
export interface ZygotePool {
  /**
   * A copied process for a machine of this template, its guest stopped; undefined when the machine has to be started in the
   * ordinary way. The first of many machines waits until the zygote is ready; the others do not wait.
   */
  copy(request: CopyRequest): Promise<ProcessIdentity | undefined>;
}

export interface CopyRequest {
  readonly spec: MachineSpec;
  readonly template: Template;
  readonly nics: readonly Socket[];
  readonly signal?: AbortSignal | undefined;
}

export interface ZygotePoolOptions {
  readonly settings: QemuSettings;
  /** Milliseconds after the last copy until a zygote ends. */
  readonly idleMs?: number;
  /** How a zygote is started; replaced by tests that start no machine. */
  readonly start?: typeof startZygote;
  /** What holds here; replaced by tests. */
  readonly probe?: typeof probeMachineFence;
}

/**
 * Copies pay where they share translated code. With KVM nothing is translated, and a virtual machine of KVM belongs to the
 * process that made it (KVM_CREATE_VM), not to a fork of it.
 */
const COPIES: Record<Accelerator, boolean> = { tcg: true, kvm: false };

/** Starting a zygote costs as much as one and a half clones, and each copy saves three quarters of a clone. */
const WORTH_IT = 3;
const IDLE_MS = 5_000;

const log = logger('vmm');

export const createZygotePool = (options: ZygotePoolOptions): ZygotePool => new QemuZygotePool(options);

interface Place {
  zygote: Zygote | undefined;
  failed: boolean;
  timer: NodeJS.Timeout | undefined;
}

type Eligible = CopyRequest & {
  readonly nic: Socket;
  readonly disks: RootedDisks;
  readonly template: Template & { ram: string; upper: string };
};

class QemuZygotePool implements ZygotePool {
  readonly #settings: QemuSettings;
  readonly #idleMs: number;
  readonly #start: typeof startZygote;
  readonly #probe: typeof probeMachineFence;
  #narrowable: Promise<boolean> | undefined;
  /** By the key of their template. */
  readonly #places = new Map<string, Place>();
  #count = 0;

  constructor({ settings, idleMs = IDLE_MS, start = startZygote, probe = probeMachineFence }: ZygotePoolOptions) {
    this.#settings = settings;
    this.#idleMs = idleMs;
    this.#start = start;
    this.#probe = probe;
  }

  async copy(request: CopyRequest): Promise<ProcessIdentity | undefined> {
    const eligible = this.#eligible(request);
    if (eligible === undefined) {
      return undefined;
    }
    const { template, spec, nic, signal } = eligible;
    try {
      const zygote = this.#places.get(template.key)?.zygote ?? (await this.#begin(eligible));
      return await zygote?.copy(spec, nic, signal);
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

  /** Only machines with a root, a writable layer and one NIC, as most services with many replicas have. */
  #eligible(request: CopyRequest): Eligible | undefined {
    const { spec, template, nics } = request;
    const { ram, upper } = template;
    const disks = rootDisks(spec);
    const [nic] = nics;
    const plain = spec.disks.length === 2 && spec.nics.length === 1 && spec.shares.length === 0;
    if (!COPIES[this.#settings.accelerator] || this.#settings.toolchain.preload === null || !plain) {
      return undefined;
    }
    return ram === undefined || upper === undefined || disks === undefined || nic === undefined
      ? undefined
      : { ...request, nic, disks, template: { ...template, ram, upper } };
  }

  /** Starts the zygote; undefined when it would not pay, has failed before, or is being started for another machine. */
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
      if (!(await this.#canNarrow())) {
        place.failed = true;
        return undefined;
      }
      const zygote = await this.#start({ settings: this.#settings, template, spec, disks, runDir, signal });
      place.zygote = zygote;
      void zygote.ended.then(() => this.#forget(template.key, place));
      log.info('a zygote is ready', { template: template.key, ms: Date.now() - begin });
      return zygote;
    } catch (error) {
      // After an abort another command may try again; a start that failed is not repeated.
      if (signal?.aborted) {
        this.#places.delete(template.key);
      }
      throw error;
    }
  }

  /** A copy gives up the files of its siblings, which only Landlock lets it do. Where nothing can be found out, the start will tell. */
  #canNarrow(): Promise<boolean> {
    this.#narrowable ??= this.#probe(this.#settings.toolchain.machineJail).then((fence) => {
      const can = typeof fence === 'string' || fence.way === 'landlock';
      if (!can) {
        log.info('machines are started singly: they are copied only where the kernel has Landlock', {});
      }
      return can;
    });
    return this.#narrowable;
  }

  /** Lets the next command start another zygote, unless this one was given up. */
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

  /** Ends a zygote that has been idle for a while, to give its memory back to the host. */
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
    await zygote?.end().catch((error: unknown) => log.warn('a zygote did not end', { reason: messageOf(error) }));
  }
}
