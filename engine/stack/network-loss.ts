import { messageOf } from '../../base/errors.ts';
import type { EventBus } from '../logs/bus.ts';
import { shownNetwork } from '../model/network-key.ts';
import type { Replica } from '../replica/replica.ts';

interface NetworkLoss {
  readonly key: string;
  /** How its process ended; undefined: somebody removed the network. */
  readonly detail: string | undefined;
  readonly replicas: ReadonlyMap<string, Replica>;
  readonly bus: EventBus;
}

/** A network process died: its machines have lost their NICs for good, so they start again on a new one. Never rejects. */
export const startAgainOnNetwork = async ({ key, detail, replicas, bus }: NetworkLoss): Promise<void> => {
  const affected = [...replicas.values()].filter(
    ({ row, run }) => run !== undefined && row.spec.networks.some((network) => network.key === key),
  );
  if (detail === undefined) {
    const names = affected.map(({ row }) => row.name).join(', ');
    bus.emit({
      type: 'warning',
      message: `network ${shownNetwork(key)} was removed: ${names} ${affected.length === 1 ? 'is' : 'are'} no longer on it`,
    });
    return;
  }
  bus.emit({
    type: 'warning',
    message: `network ${shownNetwork(key)} ended unexpectedly (${detail}): starting it and ${affected.length} replicas again`,
  });
  await Promise.all(
    affected.map((replica) =>
      replica.startAgain().catch((error: unknown) => {
        bus.emit({ type: 'warning', message: `${replica.row.name} could not be started again: ${messageOf(error)}` });
      }),
    ),
  );
};
