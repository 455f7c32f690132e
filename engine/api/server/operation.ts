import type { EventBus } from '../../logs/bus.ts';
import type { EngineEvent } from '../../model/events.ts';

/** The events during `work`, and its result. The events end with `work`; await `result` after them. */
export const operationEvents = <T>(bus: EventBus, work: () => Promise<T>): { events: AsyncIterable<EngineEvent>; result: Promise<T> } => {
  const ended = new AbortController();
  const wanted = ({ type }: EngineEvent) => type === 'progress' || type === 'warning' || type === 'refusal' || type === 'build';
  const events = bus.stream(wanted, ended.signal);
  const result = Promise.resolve().then(work);
  const end = () => ended.abort();
  result.then(end, end);
  return { events, result };
};
