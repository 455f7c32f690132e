import * as m from '../messages.ts';
import type { Codec } from '../wire.ts';
import { type CallOptions, Connections, type Method } from './calls.ts';

export interface ApiClient {
  readonly rpc: SupervisorCalls;
  close(): void;
}

export type SupervisorCalls = ReturnType<typeof callsOver>;

/** A supervisor's socket as its methods. Nothing is sent before the first call; a connection stays until `close`. `lastWords` as Connections has it. */
export const connectApi = (socket: string, lastWords?: () => readonly string[]): ApiClient => {
  const connections = new Connections(socket, lastWords);
  return { rpc: callsOver(connections), close: () => connections.close() };
};

const callsOver = (connections: Connections) => {
  const unary = <Q, A>(name: string, request: Codec<Q>, response: Codec<A>) => {
    const called = method(name, request, response);
    return (message: Partial<Q>, options?: CallOptions): Promise<A> => connections.unary(called, message as Q, options);
  };
  const serverStream = <Q, A>(name: string, request: Codec<Q>, response: Codec<A>) => {
    const called = method(name, request, response);
    return (message: Partial<Q>, options?: CallOptions) => connections.stream(called, message as Q, options);
  };
  const bothStream = <Q, A>(name: string, request: Codec<Q>, response: Codec<A>) => {
    const called = method(name, request, response);
    return (messages: AsyncIterable<Q>, options?: CallOptions) => connections.stream(called, messages, options);
  };
  const copyTo = method('CopyTo', m.CopyInput, m.CopyResponse);
  return {
    info: unary('Info', m.InfoRequest, m.InfoResponse),
    up: serverStream('Up', m.UpRequest, m.Event),
    down: serverStream('Down', m.DownRequest, m.Event),
    verb: serverStream('Verb', m.VerbRequest, m.Event),
    ps: unary('Ps', m.PsRequest, m.PsResponse),
    events: serverStream('Events', m.EventsRequest, m.Event),
    logs: serverStream('Logs', m.LogsRequest, m.LogRecord),
    exec: bothStream('Exec', m.ExecInput, m.ExecOutput),
    run: bothStream('Run', m.RunInput, m.RunOutput),
    attach: bothStream('Attach', m.ExecInput, m.ExecOutput),
    copyTo: (messages: AsyncIterable<CopyInput>, options?: CallOptions) => connections.clientStream(copyTo, messages, options),
    copyFrom: serverStream('CopyFrom', m.CopyRequest, m.CopyChunk),
    stats: unary('Stats', m.StatsRequest, m.StatsResponse),
    wait: unary('Wait', m.WaitRequest, m.WaitResponse),
  };
};

const method = <Q, A>(name: string, request: Codec<Q>, response: Codec<A>): Method<Q, A> => ({
  path: `/hypr.v1.Supervisor/${name}`,
  request,
  response,
});

type MessageOf<C> = C extends Codec<infer T> ? T : never;

export type CopyInput = MessageOf<typeof m.CopyInput>;
export type Event = MessageOf<typeof m.Event>;
export type ExecInput = MessageOf<typeof m.ExecInput>;
export type ExecOutput = MessageOf<typeof m.ExecOutput>;
export type LogRecord = MessageOf<typeof m.LogRecord>;
export type RunInput = MessageOf<typeof m.RunInput>;
export type RunOutput = MessageOf<typeof m.RunOutput>;
