import { availableParallelism } from 'node:os';
import type { ReplicaUsage } from '../../model/events.ts';
import type { ReplicaDetail } from '../../model/types.ts';
import type { Call, Routes } from '../http/router.ts';
import type { Host } from '../machines/host.ts';

/** What containers use. */
export const statsRoutes = (host: Host): Routes => ({ 'GET /containers/{id}/stats': (call) => sendStats(host, call) });

/** Once, or every two seconds for as long as it runs. */
const sendStats = async (host: Host, { params, query, reply, signal }: Call): Promise<void> => {
  const detail = host.find(params.id ?? '');
  const clock = new UsageClock(detail);
  await host.withStack(detail.stack, async (stack) => {
    const isMine = (usage: ReplicaUsage): boolean => usage.replica === detail.status.name || usage.replica === detail.status.id;
    if (!query.bool('stream', true)) {
      return reply.json(clock.next((await stack.stats()).find(isMine)));
    }
    const sink = reply.stream('application/json');
    const send = (usage: ReplicaUsage | undefined): Promise<void> => sink.write(`${JSON.stringify(clock.next(usage))}\n`);
    await send((await stack.stats()).find(isMine));
    for await (const event of stack.events({ logs: false, usage: true }, signal)) {
      if (event.type === 'usage' && isMine(event.usage)) {
        await send(event.usage);
      } else if (event.type === 'replica' && event.replica.id === detail.status.id && (event.gone === true || event.action === 'die')) {
        break;
      }
    }
    sink.end();
  });
};

const NS = 1e6;

/** docker's clients work out a share of the processors from the growth of two counters; these grow so that they find the one that was measured. */
class UsageClock {
  readonly #detail: ReplicaDetail;
  readonly #cpus = availableParallelism();
  #before = { read: Date.now() - 1000, used: 0, system: 1e9 };

  constructor(detail: ReplicaDetail) {
    this.#detail = detail;
  }

  next(usage: ReplicaUsage | undefined): unknown {
    const { status } = this.#detail;
    const before = this.#before;
    const read = Date.now();
    const spent = Math.max(1, read - before.read) * NS;
    const now = { read, used: before.used + Math.round(((usage?.cpu ?? 0) / 100) * spent), system: before.system + spent * this.#cpus };
    this.#before = now;
    return {
      id: status.id,
      name: `/${status.name}`,
      read: new Date(now.read).toISOString(),
      preread: new Date(before.read).toISOString(),
      num_procs: 0,
      pids_stats: { current: usage?.pids ?? 0 },
      cpu_stats: this.#cpuStats(now),
      precpu_stats: this.#cpuStats(before),
      memory_stats: usage === undefined ? {} : { usage: usage.memory, limit: usage.memoryLimit, stats: { inactive_file: 0 } },
      networks: usage === undefined ? {} : { eth0: { ...NO_TRAFFIC, rx_bytes: usage.netRx, tx_bytes: usage.netTx } },
      blkio_stats: { io_service_bytes_recursive: usage === undefined ? [] : blockOf(usage) },
      storage_stats: {},
    };
  }

  #cpuStats({ used, system }: { used: number; system: number }): unknown {
    return {
      cpu_usage: { total_usage: used, usage_in_kernelmode: 0, usage_in_usermode: used },
      system_cpu_usage: system,
      online_cpus: this.#cpus,
      throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
    };
  }
}

const NO_TRAFFIC = { rx_packets: 0, rx_errors: 0, rx_dropped: 0, tx_packets: 0, tx_errors: 0, tx_dropped: 0 };

const blockOf = ({ blockRead, blockWrite }: ReplicaUsage): unknown[] => [
  { major: 0, minor: 0, op: 'read', value: blockRead },
  { major: 0, minor: 0, op: 'write', value: blockWrite },
];
