import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { EventBus } from '../logs/bus.ts';
import type { ReplicaUsage } from '../model/events.ts';
import type { Replica } from '../replica/replica.ts';

const log = logger('usage');

/** How often subscribers get a sample, in milliseconds. */
export const USAGE_EVERY_MS = 2000;

/** How long a replica is measured that has no sample, and from when on a sample is too old to measure from. */
const MEASURE_MS = 1000;
const OLD_MS = 10_000;
const CLOSE_MS = 200;

interface UsageOptions {
  readonly replicas: ReadonlyMap<string, Replica>;
  readonly bus: EventBus;
}

/** Measures what replicas use. Usage gives no events, so it is sampled, and only while somebody wants it. */
export class UsageSampler {
  readonly #options: UsageOptions;
  /** Processor time of each run at its last sample, to turn totals into percent. */
  readonly #last = new WeakMap<object, { readonly cpuMs: number; readonly time: number; readonly cpu: number }>();
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

  /** As `sample`, with percent: where a replica has no earlier sample, or only an old one, it is measured for a second. */
  async measure(signal: AbortSignal): Promise<ReplicaUsage[]> {
    const since = Date.now() - OLD_MS;
    const isKnown = ({ run }: Replica): boolean => run === undefined || (this.#last.get(run)?.time ?? 0) >= since;
    const known = [...this.#options.replicas.values()].every(isKnown);
    const first = await this.sample();
    if (known || first.length === 0) {
      return first;
    }
    await sleep(MEASURE_MS, undefined, { signal });
    return this.sample();
  }

  /** What every running replica uses now. The first sample of a replica has cpu 0: percent needs two. */
  async sample(): Promise<ReplicaUsage[]> {
    const running = [...this.#options.replicas.values()].filter(
      ({ run, row, isSilent }) => run?.process !== undefined && row.state === 'running' && !isSilent,
    );
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
    const cpu = this.#percentOf(run, stats.cpuMs, replica.row.spec.vcpus);
    return {
      replica: replica.row.name,
      cpu,
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

  /** Of one processor, since the last sample. Samples that are too close say nothing of their own, and no run uses more than it has. */
  #percentOf(run: object, cpuMs: number, vcpus: number | undefined): number {
    const time = Date.now();
    const before = this.#last.get(run);
    if (before !== undefined && time - before.time < CLOSE_MS) {
      return before.cpu;
    }
    const percent = before === undefined ? 0 : (100 * (cpuMs - before.cpuMs)) / (time - before.time);
    const cpu = Math.min(Math.max(0, percent), 100 * (vcpus ?? availableParallelism()));
    this.#last.set(run, { cpuMs, time, cpu });
    return cpu;
  }
}
