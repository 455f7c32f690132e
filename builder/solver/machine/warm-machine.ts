import { createReadStream } from 'node:fs';
import type { BuildMachine, BuildMachineOptions } from '../../model/types.ts';
import type { BuildStore } from '../frame/store.ts';
import { filterLayer } from '../layer/layer-filter.ts';
import { MachineMounts } from './machine-mounts.ts';

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
    }
    for (const diffId of extra) {
      // Unpacked over what the last RUN left, then frozen with it.
      const tar = createReadStream(this.#options.store.layerTar(diffId));
      await guest.pushLayer(filterLayer(tar, { drop: OWN_FILES, dropIfEmpty: [] }), signal);
      this.#froze([...this.#layers, diffId]);
    }
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
