import { hasMachine } from '../../model/lifecycle.ts';
import type { ReplicaUpdate } from '../../model/object-types.ts';
import { readRestart } from '../../resolve/limits.ts';
import { ApiError, notHere } from '../http/errors.ts';
import type { Call, Routes } from '../http/router.ts';
import { asNumber, asRecord, asText } from '../http/values.ts';
import { containerEvent } from '../machines/events.ts';
import type { Host } from '../machines/host.ts';
import { type Keys, restartOf } from '../machines/service-of.ts';

/** `docker update`: the restart policy of a machine at once, its memory and processors from its next start on. */
export const updateRoutes = (host: Host): Routes => ({
  'POST /containers/{id}/update': (call) => update(host, call),
});

const update = async (host: Host, { params, body, reply }: Call): Promise<void> => {
  const detail = host.find(params.id ?? '');
  const request = await body.json();
  const wanted = readUpdate(request);
  if ((wanted.memory !== undefined || wanted.cpus !== undefined) && hasMachine(detail.status.state)) {
    throw new ApiError(
      409,
      `Cannot update container ${detail.status.id}: a machine has its memory and processors from its start on: stop it first`,
    );
  }
  if (wanted.restart !== undefined && wanted.restart.condition !== 'no' && detail.spec.autoRemove !== undefined) {
    const why = 'Restart policy cannot be updated because AutoRemove is enabled for the container';
    throw new ApiError(409, `Cannot update container ${detail.status.id}: ${why}`);
  }
  await host.objects.updateReplica(detail.status.id, wanted);
  const [updated = detail] = host.objects.replicas(detail.status.id);
  host.events.tell(containerEvent('update', updated));
  reply.json({ Warnings: warningsOf(request) });
};

/** Throws 400 for what makes no sense, and 501 for limits that a machine does not have: it would be said to keep what it does not. */
export const readUpdate = (request: Keys): ReplicaUpdate => {
  const refused = UNKNOWN_LIMITS.find((key) => isSet(request[key]));
  if (refused !== undefined) {
    throw notHere(`an update of ${refused}`, 'a machine has a kernel of its own, and is limited by its memory and its processors');
  }
  const memory = asNumber(request.Memory);
  if (memory !== undefined && memory < LEAST_MEMORY) {
    throw new ApiError(400, 'Minimum memory limit allowed is 6MB');
  }
  const cpus = processorsOf(request);
  const policy = asRecord(request.RestartPolicy);
  return {
    ...(memory === undefined ? {} : { memory }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(asText(policy.Name) === undefined ? {} : { restart: readRestart(restartOf(policy)) }),
  };
};

const LEAST_MEMORY = 6 * 2 ** 20;
const UNKNOWN_LIMITS = [
  ...['BlkioWeight', 'CpuShares', 'CpusetCpus', 'CpusetMems', 'CpuRealtimePeriod', 'CpuRealtimeRuntime', 'PidsLimit'],
  ...['BlkioWeightDevice', 'BlkioDeviceReadBps', 'BlkioDeviceWriteBps', 'BlkioDeviceReadIOps', 'BlkioDeviceWriteIOps'],
];

const isSet = (value: unknown): boolean =>
  Array.isArray(value) ? value.length > 0 : value !== undefined && value !== null && value !== 0 && value !== '' && value !== -1;

const processorsOf = (request: Keys): number | undefined => {
  const nano = asNumber(request.NanoCpus);
  const [quota, period = 100_000] = [asNumber(request.CpuQuota), asNumber(request.CpuPeriod)];
  if (nano !== undefined && quota !== undefined) {
    throw new ApiError(400, 'Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set');
  }
  const cpus = nano === undefined ? (quota === undefined || quota < 0 ? undefined : quota / period) : nano / 1e9;
  if (cpus !== undefined && !(cpus > 0 && Number.isFinite(cpus))) {
    throw new ApiError(400, 'a machine has at least one processor');
  }
  return cpus;
};

/** What goes along with a limit of memory and means nothing here: docker's clients show it. */
const warningsOf = (request: Keys): string[] =>
  ['MemorySwap', 'MemoryReservation'].filter((key) => isSet(request[key])).map((key) => `${key} has no effect: a machine has no swap`);
