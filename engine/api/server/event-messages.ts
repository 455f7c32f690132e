import { create } from '@bufbuild/protobuf';
import type { EngineEvent, LogRecord } from '../../model/events.ts';
import { type Event, EventSchema, type LogRecord as LogMessage, LogRecordSchema } from '../gen/hypr_pb.ts';
import { toStruct } from './convert.ts';

/** What the supervisor streams, as messages; convert.ts has the way back. */

export const eventMessage = (event: EngineEvent): Event =>
  create(EventSchema, {
    event: event.type === 'log' ? { case: 'log', value: logMessage(event.record) } : { case: 'document', value: toStruct(event) },
  });

export const logMessage = (record: LogRecord): LogMessage =>
  create(LogRecordSchema, {
    time: record.time,
    stderr: record.stream === 'stderr',
    replica: record.replica,
    service: record.service,
    line: record.line,
  });
