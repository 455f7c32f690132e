import type { HostCertificates } from '../../model/host-certificates.ts';
import type { MachineScheduler, RestingMachine } from '../../model/machine-scheduler.ts';
import { BUILD_MEMORY_MIB } from '../../model/machine-scheduler.ts';
import type { BuildMachineOptions, BuildMachines } from '../../model/types.ts';
import type { BuildStore } from '../frame/store.ts';
import { bundleFiles } from './trust-store.ts';
import { type MachineProfile, WarmMachine } from './warm-machine.ts';

/** What all machines of a build have. */
export type MachineSize = Pick<BuildMachineOptions, 'shmSize' | 'memoryMib' | 'vcpus' | 'diskMib' | 'proxy'>;

export interface MachinePoolOptions {
  readonly machines: BuildMachines;
  readonly store: Pick<BuildStore, 'rootDisk' | 'layerTar'>;
  readonly scheduler: MachineScheduler;
  readonly hosts: BuildMachineOptions['hosts'];
  certificates(): Promise<HostCertificates | undefined>;
}

/** What a stage wants of a machine. */
export interface WantedMachine {
  readonly name: string;
  readonly layers: readonly string[];
  readonly profile: MachineProfile;
  readonly size: MachineSize;
}

/** Machines of one build: those whose stage is over serve other stages of it that begin with the same layers. */
export class MachinePool {
  readonly #options: MachinePoolOptions;
  readonly #plain = new Set<string>();
  readonly #spare = new Map<WarmMachine, RestingMachine>();

  constructor(options: MachinePoolOptions) {
    this.#options = options;
  }

  /** Notes that a layer was made on the host, so that its tar may be unpacked as it is. */
  addPlainLayer(diffId: string): void {
    this.#plain.add(diffId);
  }

  /** A machine whose root is exactly what is wanted. The caller has a turn. */
  async take(wanted: WantedMachine, signal: AbortSignal): Promise<WarmMachine> {
    const spare = this.#takeSpare(wanted);
    if (spare === undefined) {
      return await this.#start(wanted, signal);
    }
    try {
      await spare.become(wanted.layers, signal);
      return spare;
    } catch (error) {
      await spare.close();
      throw error;
    }
  }

  /** Takes over a machine whose stage is over. */
  async give(warm: WarmMachine): Promise<void> {
    const { scheduler } = this.#options;
    if (!warm.isReusable) {
      await warm.close();
      return;
    }
    const resting: RestingMachine = {
      spare: true,
      giveUp: async () => {
        this.#spare.delete(warm);
        await warm.close();
      },
    };
    this.#spare.set(warm, resting);
    scheduler.rest(resting);
    const [oldest] = this.#spare.values();
    if (this.#spare.size > scheduler.working && oldest !== undefined && scheduler.resume(oldest)) {
      await oldest.giveUp();
    }
  }

  async close(): Promise<void> {
    const spare = [...this.#spare].filter(([, resting]) => this.#options.scheduler.resume(resting));
    this.#spare.clear();
    const ends = await Promise.allSettled(spare.map(([warm]) => warm.close()));
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) {
      throw failed.reason;
    }
  }

  #takeSpare({ layers, profile }: WantedMachine): WarmMachine | undefined {
    for (const [warm, resting] of this.#spare) {
      if (warm.canBecome(layers, profile) && this.#options.scheduler.resume(resting)) {
        this.#spare.delete(warm);
        return warm;
      }
    }
    return undefined;
  }

  async #start({ name, layers, profile, size }: WantedMachine, signal: AbortSignal): Promise<WarmMachine> {
    const { machines, store, scheduler, hosts, certificates: readCertificates } = this.#options;
    const memoryMib = size.memoryMib ?? BUILD_MEMORY_MIB;
    const root = await store.rootDisk(layers, signal);
    await scheduler.admit(memoryMib, signal);
    const onEnd = () => scheduler.left(memoryMib);
    let warm: WarmMachine | undefined;
    try {
      const machine = await machines.start({ name, root, hosts, ...size, ...profile }, signal);
      const certificates = await readCertificates();
      warm = new WarmMachine({ machine, store, profile, layers, certificates, plain: this.#plain, onEnd });
      if (certificates !== undefined) {
        await machine.guest.writeFiles(bundleFiles(certificates), signal);
        await warm.become(layers, signal);
      }
      return warm;
    } catch (error) {
      await (warm === undefined ? onEnd() : warm.close());
      throw error;
    }
  }
}
