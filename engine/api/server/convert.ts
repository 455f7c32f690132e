import type { JsonObject } from '@bufbuild/protobuf';
import type { EngineEvent, LogRecord } from '../../model/events.ts';
import type { Event, LogRecord as LogMessage } from '../client/client.ts';

/** Any JSON-shaped value as a protobuf Struct: undefined members vanish, as in JSON. */
export const toStruct = (value: object): JsonObject => JSON.parse(JSON.stringify(value)) as JsonObject;

export const fromStruct = <T>(struct: JsonObject | undefined): T => (struct ?? {}) as T;

export const eventFrom = (message: Event): EngineEvent => {
  if (message.event.case === 'log') {
    const record = logFrom(message.event.value);
    return { type: 'log', time: record.time, record };
  }
  return fromStruct<EngineEvent>(message.event.value);
};

export const logFrom = (message: LogMessage): LogRecord => ({
  time: message.time,
  stream: message.stderr ? 'stderr' : 'stdout',
  replica: message.replica,
  service: message.service,
  line: message.line,
});
