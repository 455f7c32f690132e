import { create, type DescMessage, fromJsonString, type MessageShape } from '@bufbuild/protobuf';
import type { EngineEvent, LogRecord } from '../../model/events.ts';
import { type Event, EventSchema, type LogRecord as LogMessage, LogRecordSchema } from '../gen/hypr_pb.ts';
import { eventJson } from '../messages/events.ts';

/** The supervisor's events as messages. Log lines are frequent and are converted directly. */

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

/** Makes a message from JSON; undefined members count as absent, members that the schema does not know are dropped. */
export const messageFrom = <D extends DescMessage>(schema: D, json: object): MessageShape<D> =>
  fromJsonString(schema, JSON.stringify(json), { ignoreUnknownFields: true });
