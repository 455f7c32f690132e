import type { ReplicaUsage } from '../model/events.ts';
import type { Replica } from '../replica/replica.ts';
import type { StackSupervisor } from './supervisor.ts';

/** Processor time at the last sample, to turn totals into percent. */
const lastSamples = new WeakMap<Replica, { cpuMs: number; time: number }>();

/** What every running replica uses now. The first sample of a replica has cpu 0: percent needs two. */
export const sampleUsage = async (supervisor: StackSupervisor): Promise<ReplicaUsage[]> => {
  const running = [...supervisor.replicas.values()].filter(({ run, row }) => run?.process !== undefined && row.state === 'running');
  const samples = await Promise.allSettled(running.map(sampleReplica));
  return samples.flatMap((sample) => (sample.status === 'fulfilled' && sample.value !== undefined ? [sample.value] : []));
};

const sampleReplica = async (replica: Replica): Promise<ReplicaUsage | undefined> => {
  const { run } = replica;
  if (run === undefined) {
    return undefined;
  }
  const [stats, hostMemory] = await Promise.all([run.guest.stats(), run.machine.memory()]);
  const now = Date.now();
  const before = lastSamples.get(replica);
  lastSamples.set(replica, { cpuMs: stats.cpuMs, time: now });
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
};
