import { create } from '@bufbuild/protobuf';
import type { ConnectRouter, HandlerContext } from '@connectrpc/connect';
import type { Project } from '../../../compose/model/model.ts';
import { followLogs } from '../../logs/follow-logs.ts';
import { isChosen, type LogSource, readMerged } from '../../logs/read-logs.ts';
import type { EngineEvent } from '../../model/events.ts';
import { DOWN_DEFAULTS, UP_DEFAULTS, VERB_DEFAULTS } from '../../model/option-defaults.ts';
import type { DownOptions, LogsOptions, UpOptions, VerbOptions } from '../../model/types.ts';
import type { StackSupervisor } from '../../stack/supervisor.ts';
import {
  type Event,
  InfoResponseSchema,
  type LogsRequest,
  PsResponseSchema,
  StatsResponseSchema,
  Supervisor,
  WaitResponseSchema,
} from '../gen/hypr_pb.ts';
import { attachStream, runStream } from './attach-stream.ts';
import { fromStruct, toStruct } from './convert.ts';
import { copyFrom, copyTo } from './copy-stream.ts';
import { toConnectError } from './errors.ts';
import { eventMessage, logMessage } from './event-messages.ts';
import { execStream } from './exec-stream.ts';
import { operationEvents } from './operation.ts';
import { needProject, needVerb } from './requests.ts';

/** The API's methods over one supervisor. `recovered` is what `recover` found. */
export const apiRoutes =
  (supervisor: StackSupervisor, facts: { version: string; stack: string; recovered: readonly string[] }) =>
  (router: ConnectRouter): void => {
    router.service(Supervisor, {
      info: () => create(InfoResponseSchema, { ...facts, recovered: [...facts.recovered], pid: process.pid }),
      up: (request, context) =>
        operation({ supervisor, context, name: 'up' }, (signal) =>
          supervisor.up(needProject(request.project), { ...UP_DEFAULTS, ...fromStruct<Partial<UpOptions>>(request.options) }, signal),
        ),
      down: (request, context) =>
        operation({ supervisor, context, name: 'down' }, (signal) =>
          supervisor.down(
            request.project && fromStruct<Project>(request.project),
            { ...DOWN_DEFAULTS, ...fromStruct<Partial<DownOptions>>(request.options) },
            signal,
          ),
        ),
      verb: (request, context) =>
        operation({ supervisor, context, name: request.verb }, (signal) =>
          supervisor.verb(
            needVerb(request.verb),
            request.project && fromStruct<Project>(request.project),
            { ...VERB_DEFAULTS, ...fromStruct<Partial<VerbOptions>>(request.options) },
            signal,
          ),
        ),
      ps: () => create(PsResponseSchema, { replicas: [...supervisor.replicas.values()].map((replica) => toStruct(replica.status())) }),
      events: (request, context) => streamEvents(supervisor, request, context.signal),
      logs: async function* (request, context) {
        const options = logsOptions(request);
        const sources = () => logSources(supervisor);
        await supervisor.settleLogs();
        const records = request.follow
          ? followLogs(
              {
                logs: supervisor.logs,
                bus: supervisor.bus,
                sources,
                settle: () => supervisor.settleLogs(),
                goesOn: () =>
                  supervisor.goesOn((row) => isChosen({ replica: row.name, service: row.service, number: row.number }, options)),
                options,
              },
              context.signal,
            )
          : readMerged(supervisor.logs, sources(), options);
        for await (const record of records) {
          yield logMessage(record);
        }
      },
      exec: (input, context) => execStream(supervisor, input, context.signal),
      run: (input, context) => runStream(supervisor, input, context.signal),
      attach: (input, context) => attachStream(supervisor, input, context.signal),
      copyTo: (input, context) => copyTo(supervisor, input, context.signal),
      copyFrom: (request, context) => copyFrom(supervisor, request, context.signal),
      stats: async () => create(StatsResponseSchema, { usages: (await supervisor.usage.sample()).map(toStruct) }),
      wait: async (request, context) =>
        create(WaitResponseSchema, { exitCode: await guarded(() => supervisor.waitForEnd(request.services, context.signal)) }),
    });
  };

const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    throw toConnectError(error);
  }
};

/** Runs an operation and streams what happens meanwhile; the RPC fails as the operation does. A client that goes away interrupts it. */
async function* operation(
  { supervisor, context, name }: { supervisor: StackSupervisor; context: HandlerContext; name: string },
  work: (signal: AbortSignal) => Promise<void>,
): AsyncIterable<Event> {
  const { events, result } = operationEvents(supervisor.bus, () => work(context.signal));
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
  [...supervisor.replicas.values()].map(({ row }) => ({ replica: row.name, service: row.service, number: row.number }));

const logsOptions = (request: LogsRequest): LogsOptions => ({
  services: request.services,
  follow: request.follow,
  tail: request.tail,
  since: request.since,
  until: request.until,
  index: request.index,
});
