import { create } from '@bufbuild/protobuf';
import type { HandlerContext } from '@connectrpc/connect';
import { followLogs } from '../../logs/follow-logs.ts';
import { isChosen, type LogSource, readMerged } from '../../logs/read-logs.ts';
import type { EngineEvent, LogRecord } from '../../model/events.ts';
import type { LogsOptions } from '../../model/types.ts';
import { API_VERSION } from '../../model/version.ts';
import type { StackSupervisor } from '../../stack/supervisor.ts';
import {
  ChangeNetworkResponseSchema,
  type Event,
  InfoResponseSchema,
  NamesResponseSchema,
  PsResponseSchema,
  StatsResponseSchema,
  UpdateReplicaResponseSchema,
  WaitResponseSchema,
} from '../gen/hypr_pb.ts';
import { namesJson } from '../messages/names.ts';
import { replicaJson } from '../messages/replicas.ts';
import { attachStream } from './attach-stream.ts';
import type { ApiMethods } from './byte-streams.ts';
import { copyFrom, copyTo } from './copy-stream.ts';
import { toConnectError } from './errors.ts';
import { eventMessage, logMessage, messageFrom } from './event-messages.ts';
import { execStream } from './exec-stream.ts';
import { operationEvents } from './operation.ts';
import { needProject, projectOf } from './projects.ts';
import { downOptions, logsOptions, needVerb, networkChange, replicaUpdate, upOptions, verbOptions } from './requests.ts';
import { runStream } from './run-stream.ts';

/** The API's methods for one supervisor. `recovered` is the result of `recover`. */
export const apiMethods = (
  supervisor: StackSupervisor,
  facts: { version: string; stack: string; recovered: readonly string[] },
): ApiMethods => ({
  info: () => create(InfoResponseSchema, { ...facts, recovered: [...facts.recovered], pid: process.pid, api: API_VERSION }),
  up: (request, context) =>
    operation({ supervisor, context, name: 'up' }, (signal) =>
      supervisor.up(needProject(request.project), upOptions(request.options), signal),
    ),
  down: (request, context) =>
    operation({ supervisor, context, name: 'down' }, (signal) =>
      supervisor.down(request.project && projectOf(request.project), downOptions(request.options), signal),
    ),
  verb: async function* (request, context) {
    const verb = await guarded(async () => needVerb(request.verb));
    yield* operation({ supervisor, context, name: verb }, (signal) =>
      supervisor.verb(verb, request.project && projectOf(request.project), verbOptions(request.options), signal),
    );
  },
  ps: () => messageFrom(PsResponseSchema, { replicas: [...supervisor.replicas.values()].map((replica) => replicaJson(replica.status())) }),
  events: (request, context) => streamEvents(supervisor, request, context.signal),
  logs: async function* (request, context) {
    const options = await guarded(async () => logsOptions(request));
    await supervisor.settleLogs();
    for await (const record of logRecords(supervisor, options, context.signal)) {
      yield logMessage(record);
    }
  },
  exec: (input, context) => execStream(supervisor, input, context.signal),
  run: (input, context) => runStream(supervisor, input, context.signal),
  attach: (input, context) => attachStream(supervisor, input, context.signal),
  copyTo: (input, context) => copyTo(supervisor, input, context.signal),
  copyFrom: (request, context) => copyFrom(supervisor, request, context.signal),
  names: async function* (_, context) {
    for await (const names of supervisor.names.stream(context.signal)) {
      yield messageFrom(NamesResponseSchema, namesJson(names));
    }
  },
  stats: async (_, context) => create(StatsResponseSchema, { usages: [...(await supervisor.usage.measure(context.signal))] }),
  changeNetwork: async (request, context) => {
    await guarded(() => durably(supervisor, async () => supervisor.changeNetwork(networkChange(request), context.signal)));
    return create(ChangeNetworkResponseSchema, {});
  },
  updateReplica: async (request, context) => {
    await guarded(() => durably(supervisor, async () => supervisor.updateReplica(request.replica, replicaUpdate(request), context.signal)));
    return create(UpdateReplicaResponseSchema, {});
  },
  wait: async (request, context) =>
    create(WaitResponseSchema, { exitCode: await guarded(() => supervisor.waitForEnd(request.services, context.signal)) }),
});

const logRecords = (supervisor: StackSupervisor, options: LogsOptions, signal: AbortSignal): AsyncIterable<LogRecord> => {
  const { logs, bus } = supervisor;
  const sources = () => logSources(supervisor);
  if (!options.follow) {
    return readMerged(logs, sources(), { ...options, stackCreatedAt: supervisor.createdAt() });
  }
  const goesOn = () => supervisor.goesOn((row) => isChosen({ replica: row.name, service: row.service, number: row.number }, options));
  return followLogs({ logs, bus, sources, settle: () => supervisor.settleLogs(), goesOn, options }, signal);
};

const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    throw toConnectError(error);
  }
};

/** What is said to be done outlives a power cut. */
const durably = async (supervisor: StackSupervisor, work: () => Promise<unknown>): Promise<void> => {
  await work();
  await supervisor.settle();
};

/** Runs an operation and streams its events. The RPC fails when the operation does; a client that goes away interrupts it. */
async function* operation(
  { supervisor, context, name }: { supervisor: StackSupervisor; context: HandlerContext; name: string },
  work: (signal: AbortSignal) => Promise<void>,
): AsyncIterable<Event> {
  const { events, result } = operationEvents(supervisor.bus, () => durably(supervisor, () => work(context.signal)));
  for await (const event of events) {
    yield eventMessage(event);
  }
  await guarded(() => result);
  yield eventMessage({ type: 'finished', time: Date.now(), operation: name });
}

async function* streamEvents(
  supervisor: StackSupervisor,
  request: { logs: boolean; usage: boolean },
  signal: AbortSignal,
): AsyncIterable<Event> {
  const wanted = (event: EngineEvent) => (event.type !== 'log' || request.logs) && (event.type !== 'usage' || request.usage);
  const events = supervisor.bus.stream(wanted, signal);
  for (const replica of supervisor.replicas.values()) {
    yield eventMessage({ type: 'replica', time: Date.now(), action: 'update', replica: replica.status() });
  }
  const unsubscribe = request.usage ? supervisor.usage.subscribe() : undefined;
  try {
    for await (const event of events) {
      yield eventMessage(event);
    }
  } finally {
    unsubscribe?.();
  }
}

const logSources = (supervisor: StackSupervisor): LogSource[] =>
  [...supervisor.replicas.values()].map(({ row }) => ({
    replica: row.name,
    service: row.service,
    number: row.number,
    createdAt: row.createdAt,
  }));
