import { createReadStream } from 'node:fs';
import type { HostCertificates } from '../../model/host-certificates.ts';
import type { BuildMachine, BuildMachineOptions } from '../../model/types.ts';
import type { BuildStore } from '../frame/store.ts';
import { filterLayer } from '../layer/layer-filter.ts';
import { MachineMounts } from './machine-mounts.ts';
import { STORES, storeFiles } from './trust-store.ts';

/** The machine mounts its own over these: nothing can be unpacked there, and a step sees the machine's whatever the image has. */
const OWN_FILES = ['/etc/hostname', '/etc/hosts', '/etc/machine-id', '/etc/resolv.conf'];

/** Settings that a machine is started with and cannot change later. */
export type MachineProfile = Pick<BuildMachineOptions, 'network'>;

export interface WarmMachineOptions {
  readonly machine: BuildMachine;
  readonly store: Pick<BuildStore, 'rootDisk' | 'layerTar'>;
  readonly profile: MachineProfile;
  /** What its root disk is made of. */
  readonly layers: readonly string[];
  /** Layers whose tar may be unpacked as it is: made on the host, without deletions. */
  readonly plain: ReadonlySet<string>;
  /** What the stores of its root are to hold besides their own. */
  readonly certificates: HostCertificates | undefined;
  /** Called once it has ended, however. */
  readonly onEnd: () => void;
}

/** How a machine comes to have other layers: how many frozen ones stay, and which are unpacked. */
interface Change {
  /** Undefined: all of them, and what the last step wrote. */
  readonly keep: number | undefined;
  readonly extra: readonly string[];
}

/**
 * A running build machine and the layers that its root has. Layers that are made on the host are unpacked in it; layers that
 * another stage does not have are dropped, down to its root disk.
 */
export class WarmMachine {
  readonly machine: BuildMachine;
  readonly contents: MachineMounts;
  readonly #options: WarmMachineOptions;
  #layers: readonly string[];
  /** How many layers there are below, after none, one, two… were frozen. */
  #frozen: number[];
  /** The writable layer holds changes of a RUN that is a layer of its own already. */
  #dirty = false;
  /** The number of the frozen layer in which the stores hold the host's certificates; undefined: those that are seen may not. */
  #trusting: number | undefined;
  #ended = false;

  constructor(options: WarmMachineOptions) {
    this.#options = options;
    this.machine = options.machine;
    this.contents = new MachineMounts(options.machine, options.store);
    this.#layers = options.layers;
    this.#frozen = [options.layers.length];
  }

  /** Whether another stage could use it after this one's end: what a proxy refuses is told to the stage that it was started for. */
  get isReusable(): boolean {
    return this.#options.profile.network !== 'proxy';
  }

  canBecome(layers: readonly string[], profile: MachineProfile): boolean {
    return profile.network === this.#options.profile.network && this.#changeTo(layers) !== undefined;
  }

  /** Gives it exactly `layers`, with an empty writable layer; `canBecome` says whether that is possible. */
  async become(layers: readonly string[], signal: AbortSignal): Promise<void> {
    const { keep, extra } = this.#changeTo(layers) ?? { keep: 0, extra: layers };
    const { guest } = this.machine;
    if (keep !== undefined) {
      await guest.dropLayers(keep, signal);
      this.#layers = this.#layers.slice(0, this.#frozen[keep]);
      this.#frozen = this.#frozen.slice(0, keep + 1);
      this.#dirty = false;
      this.#trusting = (this.#trusting ?? 0) > keep ? undefined : this.#trusting;
    }
    const stores = { paths: STORES, onChanged: () => this.storesChanged() };
    for (const diffId of extra) {
      // Unpacked over what the last RUN left, then frozen with it.
      const tar = createReadStream(this.#options.store.layerTar(diffId));
      await guest.pushLayer(filterLayer(tar, { drop: OWN_FILES, dropIfEmpty: [], stores }), signal);
      this.#froze([...this.#layers, diffId]);
    }
    await this.#trustHost(signal);
    if (this.#dirty) {
      await guest.pushLayer(undefined, signal);
      this.#froze(this.#layers);
    }
  }

  /** Notes that the writable layer was stored as `diffId`. */
  committed(diffId: string): void {
    this.#layers = [...this.#layers, diffId];
    this.#dirty = true;
  }

  /** Notes that a store was replaced, so that the next step needs the host's certificates in it again. */
  storesChanged(): void {
    this.#trusting = undefined;
  }

  async close(): Promise<void> {
    if (this.#ended) {
      return;
    }
    this.#ended = true;
    try {
      await this.machine.close();
    } finally {
      this.#options.onEnd();
    }
  }

  /** In a layer of its own, so that what a step changes is never mixed with it. */
  async #trustHost(signal: AbortSignal): Promise<void> {
    const { certificates } = this.#options;
    if (certificates !== undefined && this.#trusting === undefined) {
      await this.machine.guest.writeFiles(storeFiles(certificates), signal);
      this.#trusting = this.#frozen.length;
      this.#dirty = true;
    }
  }

  #froze(layers: readonly string[]): void {
    this.#layers = layers;
    this.#frozen.push(layers.length);
    this.#dirty = false;
  }

  #changeTo(layers: readonly string[]): Change | undefined {
    const ways = [{ keep: undefined, have: this.#layers.length }, ...this.#frozen.map((have, keep) => ({ keep, have })).reverse()];
    for (const { keep, have } of ways) {
      const extra = layers.slice(have);
      const isBelow = have <= layers.length && this.#layers.slice(0, have).every((diffId, index) => layers[index] === diffId);
      if (isBelow && extra.every((diffId) => this.#options.plain.has(diffId))) {
        return { keep, extra };
      }
    }
    return undefined;
  }
}
