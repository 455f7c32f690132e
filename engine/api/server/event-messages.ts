import { create, type DescMessage, fromJsonString, type MessageShape } from '@bufbuild/protobuf';
import type { EngineEvent, LogRecord } from '../../model/events.ts';
import { type Event, EventSchema, type LogRecord as LogMessage, LogRecordSchema } from '../gen/hypr_pb.ts';
import { eventJson } from '../messages/events.ts';

/** What the supervisor streams, as messages. Lines are made directly, for there are many. */

export const eventMessage = (event: EngineEvent): Event =>
  event.type === 'log'
    ? create(EventSchema, { time: event.time, event: { case: 'log', value: logMessage(event.record) } })
    : messageFrom(EventSchema, eventJson(event));

export const logMessage = (record: LogRecord): LogMessage =>
  create(LogRecordSchema, {
    time: record.time,
    stderr: record.stream === 'stderr',
    replica: record.replica,
    service: record.service,
    line: record.line,
    ...(record.run === undefined ? {} : { run: record.run }),
    ...(record.seq === undefined ? {} : { seq: record.seq }),
  });

/** A message from its JSON, in which undefined members count as absent, and what the schema does not have is left out. */
export const messageFrom = <D extends DescMessage>(schema: D, json: object): MessageShape<D> =>
  fromJsonString(schema, JSON.stringify(json), { ignoreUnknownFields: true });
