import { BYTE_METHODS, BYTES_TYPE, type ByteFields, decodeMessage, encodeBytes } from '../byte-codec.ts';
import type * as pb from '../gen/hypr_pb.ts';
import type { Sent } from '../messages/values.ts';
import { type CallOptions, Connections, type Method } from './calls.ts';

export interface ApiClient {
  readonly rpc: SupervisorCalls;
  close(): void;
}

export type SupervisorCalls = ReturnType<typeof callsOver>;

/** A message whose bytes fields are bytes instead of base64. */
type Bytes<T, K extends keyof T> = Omit<T, K> & { readonly [P in K]?: Uint8Array };

type ProgramBytes = 'stdout' | 'stderr';
export type ExecInput = Bytes<pb.ExecInputJson, 'stdin'>;
export type ExecOutput = Bytes<pb.ExecOutputJson, ProgramBytes>;
export type AttachInput = Bytes<pb.AttachInputJson, 'stdin'>;
export type AttachOutput = Bytes<pb.AttachOutputJson, ProgramBytes>;
export type RunInput = Bytes<pb.RunInputJson, 'stdin'>;
export type RunOutput = Bytes<pb.RunOutputJson, ProgramBytes>;
export type CopyInput = Bytes<pb.CopyInputJson, 'data'>;
export type CopyChunk = Bytes<pb.CopyChunkJson, 'data'>;

/**
 * A client for a supervisor's socket. Sends nothing before the first call; connections stay open until `close`.
 * `lastWords` is as for Connections.
 */
export const connectApi = (socket: string, lastWords?: () => readonly string[]): ApiClient => {
  const connections = new Connections(socket, lastWords);
  return { rpc: callsOver(connections), close: () => connections.close() };
};

/** Answers are validated (engine/api/messages), because the supervisor may be of another version. */
const callsOver = (connections: Connections) => {
  const unary = <Q, A>(name: string) => {
    const called = jsonMethod<Q, A>(name, 'application/json');
    return (message: Sent<Q>, options?: CallOptions): Promise<A> => connections.unary(called, message, options);
  };
  const serverStream = <Q, A>(name: string) => {
    const called = jsonMethod<Q, A>(name, 'application/connect+json');
    return (message: Sent<Q>, options?: CallOptions) => connections.stream(called, message, options);
  };
  const bothStream = <Q, A>(name: keyof typeof BYTE_METHODS) => {
    const called = byteMethod<Q, A>(name);
    return (messages: AsyncIterable<Sent<Q>>, options?: CallOptions) => connections.stream(called, messages, options);
  };
  const copyTo = byteMethod<CopyInput, pb.CopyResponseJson>('CopyTo');
  const copyFrom = byteMethod<pb.CopyRequestJson, CopyChunk>('CopyFrom');
  return {
    info: unary<pb.InfoRequestJson, pb.InfoResponseJson>('Info'),
    up: serverStream<pb.UpRequestJson, pb.EventJson>('Up'),
    down: serverStream<pb.DownRequestJson, pb.EventJson>('Down'),
    verb: serverStream<pb.VerbRequestJson, pb.EventJson>('Verb'),
    ps: unary<pb.PsRequestJson, pb.PsResponseJson>('Ps'),
    events: serverStream<pb.EventsRequestJson, pb.EventJson>('Events'),
    logs: serverStream<pb.LogsRequestJson, pb.LogRecordJson>('Logs'),
    exec: bothStream<ExecInput, ExecOutput>('Exec'),
    run: bothStream<RunInput, RunOutput>('Run'),
    attach: bothStream<AttachInput, AttachOutput>('Attach'),
    copyTo: (messages: AsyncIterable<Sent<CopyInput>>, options?: CallOptions) => connections.clientStream(copyTo, messages, options),
    copyFrom: (message: Sent<pb.CopyRequestJson>, options?: CallOptions) => connections.stream(copyFrom, message, options),
    names: serverStream<pb.NamesRequestJson, pb.NamesResponseJson>('Names'),
    stats: unary<pb.StatsRequestJson, pb.StatsResponseJson>('Stats'),
    changeNetwork: unary<pb.ChangeNetworkRequestJson, pb.ChangeNetworkResponseJson>('ChangeNetwork'),
    updateReplica: unary<pb.UpdateReplicaRequestJson, pb.UpdateReplicaResponseJson>('UpdateReplica'),
    wait: unary<pb.WaitRequestJson, pb.WaitResponseJson>('Wait'),
  };
};

const pathOf = (name: string): string => `/hypr.v1.Supervisor/${name}`;

const toJson = (message: unknown): Buffer => Buffer.from(JSON.stringify(message));

const jsonMethod = <Q, A>(name: string, contentType: string): Method<Sent<Q>, A> => ({
  path: pathOf(name),
  contentType,
  encode: (request) => [toJson(request)],
  decode: (message) => JSON.parse(message.toString('utf8')) as A,
});

const byteMethod = <Q, A>(name: keyof typeof BYTE_METHODS): Method<Sent<Q>, A> => ({
  path: pathOf(name),
  contentType: BYTES_TYPE,
  encode: (request) => encodeMessage(BYTE_METHODS[name].input, request as object),
  decode: (message) => {
    const read = decodeMessage(BYTE_METHODS[name].output, message);
    return ('json' in read ? JSON.parse(read.json) : { [read.field]: read.bytes }) as A;
  },
});

const encodeMessage = (fields: ByteFields, message: object): Uint8Array[] => {
  const [field, value] = Object.entries(message)[0] ?? [];
  return field !== undefined && value instanceof Uint8Array ? encodeBytes(fields, field, value) : [toJson(message)];
};
