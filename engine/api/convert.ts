import type { JsonObject } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { EngineEvent, LogRecord } from '../events.ts';
import { type Event, EventSchema, type LogRecord as LogMessage, LogRecordSchema } from './gen/hypr_pb.ts';

/** Any JSON-shaped value as a protobuf Struct: undefined members vanish, as in JSON. */
export const toStruct = (value: object): JsonObject => JSON.parse(JSON.stringify(value)) as JsonObject;

export const fromStruct = <T>(struct: JsonObject | undefined): T => (struct ?? {}) as T;

export const eventMessage = (event: EngineEvent): Event =>
  create(EventSchema, {
    event: event.type === 'log' ? { case: 'log', value: logMessage(event.record) } : { case: 'document', value: toStruct(event) },
  });

export const eventFrom = (message: Event): EngineEvent => {
  if (message.event.case === 'log') {
    const record = logFrom(message.event.value);
    return { type: 'log', time: record.time, record };
  }
  return fromStruct<EngineEvent>(message.event.value);
};

export const logMessage = (record: LogRecord): LogMessage =>
  create(LogRecordSchema, {
    time: record.time,
    stderr: record.stream === 'stderr',
    replica: record.replica,
    service: record.service,
    line: record.line,
  });

export const logFrom = (message: LogMessage): LogRecord => ({
  time: message.time,
  stream: message.stderr ? 'stderr' : 'stdout',
  replica: message.replica,
  service: message.service,
  line: message.line,
});
