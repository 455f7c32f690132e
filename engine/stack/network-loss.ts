import { messageOf } from '../../base/errors.ts';
import type { EventBus } from '../logs/bus.ts';
import type { Replica } from '../replica/replica.ts';

interface NetworkLoss {
  readonly key: string;
  /** How its process ended. */
  readonly detail: string;
  readonly replicas: ReadonlyMap<string, Replica>;
  readonly bus: EventBus;
}

/** A network process died: its machines have lost their NICs for good, so they start again on a new one. Never rejects. */
export const startAgainOnNetwork = async ({ key, detail, replicas, bus }: NetworkLoss): Promise<void> => {
  const affected = [...replicas.values()].filter(
    ({ row, run }) => run !== undefined && row.spec.networks.some((network) => network.key === key),
  );
  bus.emit({
    type: 'warning',
    message: `network ${key} ended unexpectedly (${detail}): starting it and ${affected.length} replicas again`,
  });
  await Promise.all(
    affected.map((replica) =>
      replica.startAgain().catch((error: unknown) => {
        bus.emit({ type: 'warning', message: `${replica.row.name} could not be started again: ${messageOf(error)}` });
      }),
    ),
  );
};
