import type { EngineEvent, RecordedEvent, ReplicaStatus } from '../../model/events.ts';
import type { EventBus } from '../bus.ts';
import { recordEvent } from './record-event.ts';

export interface EventSource {
  readonly stack: string;
  /** What docker compose would have written on a machine, beside its own labels. */
  readonly projectLabels: (replica: ReplicaStatus) => Readonly<Record<string, string>>;
}

/** Records what happens to the machines of a stack, until the function that it gives is called. */
export const keepEvents = (bus: EventBus, { folder, ...source }: EventSource & { readonly folder: string }): (() => void) =>
  bus.subscribe((event) => {
    const recorded = recordedEvent(event, source);
    if (recorded !== undefined) {
      recordEvent(folder, recorded);
    }
  });

/** Undefined for those that docker has not and nobody waits for: `update` is a snapshot and `listening` is hypr's own. */
export const recordedEvent = (event: EngineEvent, { stack, projectLabels }: EventSource): RecordedEvent | undefined => {
  if (event.type === 'refusal') {
    const { replica, service, to, name, protocol, rule, count, total } = event.refusal;
    const attributes = {
      ...(to === undefined ? {} : { to }),
      ...(name === undefined ? {} : { name }),
      ...{ protocol, rule, count: String(count), total: String(total) },
    };
    return { time: event.time, type: 'network', action: REFUSE, id: replica, attributes, stack, service };
  }
  if (event.type !== 'replica' || event.action === 'update' || event.action === 'listening') {
    return undefined;
  }
  const { time, action, replica } = event;
  const exit = action === 'die' ? { exitCode: String(replica.exitCode) } : {};
  return {
    time,
    type: 'container',
    action: action === 'health_status' ? `health_status: ${replica.health}` : action,
    id: replica.id,
    attributes: { ...replica.labels, ...projectLabels(replica), ...exit, image: replica.image, name: replica.name },
    stack,
    service: replica.service,
  };
};

/** docker has no such event of networks. */
const REFUSE = 'refuse';
