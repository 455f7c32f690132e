import { createReadStream } from 'node:fs';
import type { Slots } from '../../model/slots.ts';
import type { BuildMachine, BuildMachineOptions, BuildMachines } from '../../model/types.ts';
import type { BuildStore } from '../frame/store.ts';
import { filterLayer } from '../layer/layer-filter.ts';
import { GUEST_CA_BUNDLE } from './ca-bundle.ts';
import { MachineMounts } from './machine-mounts.ts';

/** The machine mounts its own over these: nothing can be unpacked there, and a step sees the machine's whatever the image has. */
const OWN_FILES = ['/etc/hostname', '/etc/hosts', '/etc/machine-id', '/etc/resolv.conf'];

/** Settings that a machine is started with and cannot change later. */
export type MachineProfile = Pick<BuildMachineOptions, 'network'>;

/** What all machines of a build have. */
export type MachineSize = Pick<BuildMachineOptions, 'shmSize' | 'memoryMib' | 'vcpus' | 'diskMib' | 'proxy'>;

/** A running machine, with the mount contents that it has already. */
export interface WarmMachine {
  readonly machine: BuildMachine;
  readonly contents: MachineMounts;
}

export interface StageMachineOptions {
  readonly name: string;
  readonly machines: BuildMachines;
  readonly store: Pick<BuildStore, 'rootDisk' | 'layerTar'>;
  readonly slots: Slots;
  readonly hosts: BuildMachineOptions['hosts'];
  readonly size: MachineSize;
  caBundle(): Promise<Uint8Array | undefined>;
}

/**
 * The one machine of a stage, started by its first RUN and kept for the following ones. Layers that are made on the host between
 * two RUNs are unpacked in it; where that is impossible, it is started again.
 */
export class StageMachine {
  readonly #options: StageMachineOptions;
  #warm: WarmMachine | undefined;
  #profile = '';
  #layers: readonly string[] = [];
  /** Layers whose tar may be unpacked as it is: made on the host, without deletions. */
  readonly #plain = new Set<string>();
  /** The writable layer holds changes of a RUN that is a layer of its own already. */
  #dirty = false;
  #holdsSlot = false;

  constructor(options: StageMachineOptions) {
    this.#options = options;
  }

  /** Notes that a layer was made on the host. */
  addPlainLayer(diffId: string): void {
    this.#plain.add(diffId);
  }

  /** A machine whose root is exactly `layers`, with an empty writable layer. */
  async use(layers: readonly string[], profile: MachineProfile, signal: AbortSignal): Promise<WarmMachine> {
    if (this.#warm !== undefined && !this.#canFollow(layers, profile)) {
      await this.close();
    }
    if (!this.#holdsSlot) {
      await this.#options.slots.acquire(signal);
      this.#holdsSlot = true;
    }
    if (this.#warm === undefined) {
      return await this.#start(layers, profile, signal);
    }
    const extra = layers.slice(this.#layers.length);
    for (const diffId of extra) {
      // Unpacked over what the last RUN left, then frozen with it.
      const layer = filterLayer(createReadStream(this.#options.store.layerTar(diffId)), { drop: OWN_FILES, dropIfEmpty: [] });
      await this.#warm.machine.guest.pushLayer(layer, signal);
    }
    if (this.#dirty && extra.length === 0) {
      await this.#warm.machine.guest.pushLayer(undefined, signal);
    }
    this.#layers = layers;
    this.#dirty = false;
    return this.#warm;
  }

  /** Notes that the writable layer was stored as `diffId`. */
  committed(diffId: string): void {
    this.#layers = [...this.#layers, diffId];
    this.#dirty = true;
  }

  /**
   * Releases the slot to another stage's machine; `use` takes one again. A slot is never held while waiting for anything else,
   * so that stages cannot deadlock.
   */
  park(): void {
    if (this.#holdsSlot) {
      this.#holdsSlot = false;
      this.#options.slots.release();
    }
  }

  async close(): Promise<void> {
    const machine = this.#warm?.machine;
    this.#warm = undefined;
    this.#layers = [];
    this.#dirty = false;
    try {
      await machine?.close();
    } finally {
      this.park();
    }
  }

  #canFollow(layers: readonly string[], profile: MachineProfile): boolean {
    const extra = layers.slice(this.#layers.length);
    const isPrefix = this.#layers.every((diffId, index) => layers[index] === diffId);
    return isPrefix && JSON.stringify(profile) === this.#profile && extra.every((diffId) => this.#plain.has(diffId));
  }

  async #start(layers: readonly string[], profile: MachineProfile, signal: AbortSignal): Promise<WarmMachine> {
    const { machines, store, name, hosts, size } = this.#options;
    try {
      const root = await store.rootDisk(layers, signal);
      const machine = await machines.start({ name, root, hosts, ...size, ...profile }, signal);
      this.#warm = { machine, contents: new MachineMounts(machine, store) };
      const caBundle = await this.#options.caBundle();
      if (caBundle !== undefined) {
        await machine.guest.writeFiles([{ path: GUEST_CA_BUNDLE, content: caBundle, mode: 0o644, uid: 0, gid: 0 }], signal);
      }
      this.#profile = JSON.stringify(profile);
      this.#layers = layers;
      this.#dirty = false;
      return this.#warm;
    } catch (error) {
      await this.close();
      throw error;
    }
  }
}
