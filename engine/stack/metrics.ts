import type { GuestStats } from '../../guest/types.ts';
import type { ReplicaState } from '../model/events.ts';
import type { Replica } from '../replica/replica.ts';
import type { StackSupervisor } from './supervisor.ts';

/** The text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/), version 0.0.4. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Labels = Readonly<Record<string, string>>;

interface Family {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  readonly samples: ReadonlyArray<{ readonly labels: Labels; readonly value: number }>;
}

const STATES: readonly ReplicaState[] = [
  'created',
  'starting',
  'running',
  'paused',
  'suspended',
  'restarting',
  'stopping',
  'exited',
  'dead',
];

/** What the supervisor of a stack knows in numbers: replicas by state, what each uses, how long operations took. */
export const collectMetrics = async (supervisor: StackSupervisor, stack: string): Promise<string> => {
  const replicas = [...supervisor.replicas.values()];
  const used = await Promise.all(replicas.map(readUsage));
  const families = [
    statesOf(replicas, stack),
    ...factsOf(replicas, stack),
    ...usageOf(replicas, used, stack),
    ...operationsOf(supervisor, stack),
  ];
  return families.map(formatFamily).join('');
};

interface Usage {
  readonly guest: GuestStats;
  readonly hostMemory: number;
}

/** Undefined for one that does not run, or does not answer. */
const readUsage = async ({ run, row, isSilent }: Replica): Promise<Usage | undefined> => {
  if (run?.process === undefined || row.state !== 'running' || isSilent) {
    return undefined;
  }
  try {
    const [guest, hostMemory] = await Promise.all([run.guest.stats(), run.machine.memory()]);
    return { guest, hostMemory };
  } catch {
    return undefined;
  }
};

const statesOf = (replicas: readonly Replica[], stack: string): Family => ({
  name: 'hypr_replicas',
  type: 'gauge',
  help: 'Replicas of the stack by state.',
  samples: STATES.map((state) => ({ labels: { stack, state }, value: replicas.filter(({ row }) => row.state === state).length })),
});

const labelsOf = ({ row }: Replica, stack: string): Labels => ({ stack, service: row.service, replica: row.name });

const factsOf = (replicas: readonly Replica[], stack: string): Family[] => {
  const each = (value: (replica: Replica) => number | undefined): Family['samples'] =>
    replicas.flatMap((replica) => {
      const found = value(replica);
      return found === undefined ? [] : [{ labels: labelsOf(replica, stack), value: found }];
    });
  return [
    {
      name: 'hypr_replica_restarts_total',
      type: 'counter',
      help: 'Restarts by policy.',
      samples: each(({ row }) => row.restarts),
    },
    {
      name: 'hypr_replica_healthy',
      type: 'gauge',
      help: '1 when the last health checks of a running replica succeeded; only of those that have one.',
      samples: each(({ row }) => (row.health === 'none' ? undefined : Number(row.health === 'healthy'))),
    },
    {
      name: 'hypr_replica_start_time_seconds',
      type: 'gauge',
      help: 'Start of the program, in seconds since the epoch.',
      samples: each(({ row }) => (row.startedAt === undefined ? undefined : row.startedAt / 1000)),
    },
    {
      name: 'hypr_replica_boot_seconds',
      type: 'gauge',
      help: 'From the start of the machine to the answer of its agent, configured.',
      samples: each(({ row }) => (row.bootMs === undefined ? undefined : row.bootMs / 1000)),
    },
  ];
};

/** name, type, help, value. */
const USAGE: ReadonlyArray<readonly [string, Family['type'], string, (usage: Usage) => number]> = [
  ['cpu_seconds_total', 'counter', 'Processor time of the guest.', ({ guest }) => guest.cpuMs / 1000],
  ['memory_used_bytes', 'gauge', 'Memory in use in the guest.', ({ guest }) => guest.memoryUsed],
  ['memory_limit_bytes', 'gauge', 'Memory of the guest.', ({ guest }) => guest.memoryTotal],
  ['host_memory_bytes', 'gauge', 'Memory of the host that is this machine’s own (PSS).', ({ hostMemory }) => hostMemory],
  ['network_receive_bytes_total', 'counter', 'Bytes received.', ({ guest }) => guest.netRx],
  ['network_transmit_bytes_total', 'counter', 'Bytes sent.', ({ guest }) => guest.netTx],
  ['block_read_bytes_total', 'counter', 'Bytes read from disks.', ({ guest }) => guest.blockRead],
  ['block_write_bytes_total', 'counter', 'Bytes written to disks.', ({ guest }) => guest.blockWrite],
  ['processes', 'gauge', 'Processes in the guest.', ({ guest }) => guest.pids],
];

const usageOf = (replicas: readonly Replica[], used: ReadonlyArray<Usage | undefined>, stack: string): Family[] =>
  USAGE.map(([name, type, help, value]) => ({
    name: `hypr_replica_${name}`,
    type,
    help,
    samples: replicas.flatMap((replica, index) => {
      const usage = used[index];
      return usage === undefined ? [] : [{ labels: labelsOf(replica, stack), value: value(usage) }];
    }),
  }));

const operationsOf = (supervisor: StackSupervisor, stack: string): Family[] => {
  const totals = [...supervisor.operationTotals].map(([operation, total]) => ({ labels: { stack, operation }, total }));
  const family = (name: string, help: string, value: (total: (typeof totals)[number]['total']) => number): Family => ({
    name: `hypr_${name}`,
    type: 'counter',
    help,
    samples: totals.map(({ labels, total }) => ({ labels, value: value(total) })),
  });
  return [
    family('operations_total', 'Operations that ended since this supervisor began.', ({ count }) => count),
    family('operations_failed_total', 'Those among them that failed or were interrupted.', ({ failed }) => failed),
    family('operation_seconds_total', 'Time that they took.', ({ ms }) => ms / 1000),
  ];
};

const formatFamily = ({ name, type, help, samples }: Family): string => {
  const lines = samples.map(({ labels, value }) => `${name}{${formatLabels(labels)}} ${value}\n`);
  return samples.length === 0 ? '' : `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
};

const formatLabels = (labels: Labels): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`)
    .join(',');
