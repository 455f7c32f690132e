import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { EventBus } from '../logs/bus.ts';
import type { ReplicaUsage } from '../model/events.ts';
import type { Replica } from '../replica/replica.ts';

const log = logger('usage');

/** How often subscribers get a sample, in milliseconds. */
export const USAGE_EVERY_MS = 2000;

interface UsageOptions {
  readonly replicas: ReadonlyMap<string, Replica>;
  readonly bus: EventBus;
}

/** Measures what replicas use. Usage gives no events, so it is sampled, and only while somebody wants it. */
export class UsageSampler {
  readonly #options: UsageOptions;
  /** Processor time at the last sample, to turn totals into percent. */
  readonly #last = new WeakMap<Replica, { cpuMs: number; time: number }>();
  #subscribers = 0;
  #timer: NodeJS.Timeout | undefined;
  #sampling = false;

  constructor(options: UsageOptions) {
    this.#options = options;
  }

  /** Puts a sample on the bus every `USAGE_EVERY_MS` until the returned function is called. All subscribers share one timer. */
  subscribe(): () => void {
    this.#subscribers++;
    this.#timer ??= setInterval(() => void this.#tell(), USAGE_EVERY_MS);
    let isOver = false;
    return () => {
      if (isOver) {
        return;
      }
      isOver = true;
      this.#subscribers--;
      if (this.#subscribers === 0) {
        clearInterval(this.#timer);
        this.#timer = undefined;
      }
    };
  }

  /** What every running replica uses now. The first sample of a replica has cpu 0: percent needs two. */
  async sample(): Promise<ReplicaUsage[]> {
    const running = [...this.#options.replicas.values()].filter(({ run, row }) => run?.process !== undefined && row.state === 'running');
    const samples = await Promise.allSettled(running.map((replica) => this.#sampleReplica(replica)));
    return samples.flatMap((sample) => (sample.status === 'fulfilled' && sample.value !== undefined ? [sample.value] : []));
  }

  /** Never rejects. A tick is left out while guests have not yet answered the one before. */
  async #tell(): Promise<void> {
    if (this.#sampling) {
      return;
    }
    this.#sampling = true;
    try {
      for (const usage of await this.sample()) {
        this.#options.bus.emit({ type: 'usage', usage });
      }
    } catch (error) {
      log.warn('usage was not sampled', { error: messageOf(error) });
    } finally {
      this.#sampling = false;
    }
  }

  async #sampleReplica(replica: Replica): Promise<ReplicaUsage | undefined> {
    const { run } = replica;
    if (run === undefined) {
      return undefined;
    }
    const [stats, hostMemory] = await Promise.all([run.guest.stats(), run.machine.memory()]);
    const now = Date.now();
    const before = this.#last.get(replica);
    this.#last.set(replica, { cpuMs: stats.cpuMs, time: now });
    const cpu = before === undefined || now === before.time ? 0 : (100 * (stats.cpuMs - before.cpuMs)) / (now - before.time);
    return {
      replica: replica.row.name,
      cpu: Math.max(0, cpu),
      memory: stats.memoryUsed,
      memoryLimit: stats.memoryTotal,
      hostMemory,
      netRx: stats.netRx,
      netTx: stats.netTx,
      blockRead: stats.blockRead,
      blockWrite: stats.blockWrite,
      pids: stats.pids,
    };
  }
}
