import { type Field, type Fields, type MessageCodec, messageOf } from './client/message-codec.ts';
import type * as pb from './gen/hypr_pb.ts';
import { structCodec } from './wire-struct.ts';

/** The messages of hypr.proto as tables; test/engine/api/wire.test.ts compares them with what buf made of it. */

/** A message as plain values, without what protobuf-es adds to know it by. */
export type Plain<T> = T extends Uint8Array
  ? T
  : T extends readonly (infer E)[]
    ? Plain<E>[]
    : T extends object
      ? string extends keyof T
        ? T
        : { [K in keyof T as K extends '$typeName' | '$unknown' ? never : K]: Plain<T[K]> }
      : T;

type FieldType = Field['type'];

const one = (name: string, type: FieldType): Field => ({ name, type });
const many = (name: string, type: FieldType): Field => ({ name, type, repeated: true });
const maybe = (name: string, type: FieldType): Field => ({ name, type, optional: true });
/** The cases of a oneof, numbered from 1. */
const choice = (oneof: string, cases: Readonly<Record<string, FieldType>>): Record<number, Field> =>
  Object.fromEntries(Object.entries(cases).map(([name, type], index) => [index + 1, { name, type, oneof }]));

const message = <T>(fields: Fields): MessageCodec<Plain<T>> => messageOf(fields);

const projectAndOptions = { 1: one('project', structCodec), 2: one('options', structCodec) };

export const InfoRequest = message<pb.InfoRequest>({});
export const InfoResponse = message<pb.InfoResponse>({
  1: one('version', 'string'),
  2: one('stack', 'string'),
  3: one('pid', 'int32'),
  4: many('recovered', 'string'),
});
export const UpRequest = message<pb.UpRequest>(projectAndOptions);
export const DownRequest = message<pb.DownRequest>(projectAndOptions);
export const VerbRequest = message<pb.VerbRequest>({
  1: one('verb', 'string'),
  2: one('project', structCodec),
  3: one('options', structCodec),
});
export const PsRequest = message<pb.PsRequest>({});
export const PsResponse = message<pb.PsResponse>({ 1: many('replicas', structCodec) });
export const EventsRequest = message<pb.EventsRequest>({ 1: one('logs', 'bool'), 2: one('usage', 'bool') });
export const LogRecord = message<pb.LogRecord>({
  1: one('time', 'double'),
  2: one('stderr', 'bool'),
  3: one('replica', 'string'),
  4: one('service', 'string'),
  5: one('line', 'string'),
});
export const Event = message<pb.Event>(choice('event', { document: structCodec, log: LogRecord }));
export const LogsRequest = message<pb.LogsRequest>({
  1: many('services', 'string'),
  2: one('follow', 'bool'),
  3: maybe('tail', 'int32'),
  4: maybe('since', 'double'),
  5: maybe('until', 'double'),
  6: maybe('index', 'int32'),
});
export const Size = message<pb.Size>({ 1: one('columns', 'int32'), 2: one('rows', 'int32') });
export const ExecInput = message<pb.ExecInput>(
  choice('input', { start: structCodec, stdin: 'bytes', closeStdin: 'bool', resize: Size, signal: 'int32' }),
);
export const Attached = message<pb.Attached>({ 1: one('replica', 'string'), 2: one('tty', 'bool'), 3: one('stdin', 'bool') });
export const ExecOutput = message<pb.ExecOutput>(
  choice('output', { stdout: 'bytes', stderr: 'bytes', exitCode: 'int32', started: 'int32', attached: Attached }),
);
export const RunStart = message<pb.RunStart>(projectAndOptions);
export const RunInput = message<pb.RunInput>(choice('input', { start: RunStart, exec: ExecInput }));
export const Created = message<pb.Created>({ 1: one('id', 'string'), 2: one('name', 'string') });
export const RunOutput = message<pb.RunOutput>(choice('output', { event: Event, exec: ExecOutput, created: Created }));
export const CopyRequest = message<pb.CopyRequest>({
  1: one('service', 'string'),
  2: maybe('index', 'int32'),
  3: one('path', 'string'),
  4: one('followLinks', 'bool'),
});
export const CopyInput = message<pb.CopyInput>(choice('input', { start: CopyRequest, data: 'bytes' }));
export const CopyResponse = message<pb.CopyResponse>({});
export const CopyChunk = message<pb.CopyChunk>({ 1: one('data', 'bytes') });
export const StatsRequest = message<pb.StatsRequest>({});
export const StatsResponse = message<pb.StatsResponse>({ 1: many('usages', structCodec) });
export const WaitRequest = message<pb.WaitRequest>({ 1: many('services', 'string') });
export const WaitResponse = message<pb.WaitResponse>({ 1: one('exitCode', 'int32') });
