import type { LogRecord } from '../../model/events.ts';
import type { ReplicaDetail } from '../../model/types.ts';
import { ApiError } from '../http/errors.ts';
import { compileFilters, readFilters } from '../http/filters.ts';
import type { Query } from '../http/query.ts';
import type { Call, Routes } from '../http/router.ts';
import { commitMachine, listMachineChanges } from '../machines/disk.ts';
import { outputType, type Streams, writeOutput } from '../machines/frames.ts';
import type { Host } from '../machines/host.ts';
import { formatProcesses, listProcesses } from '../machines/processes.ts';
import { throughItsEnd } from '../machines/through-end.ts';
import { isUp } from '../machines/wait.ts';
import { inspectContainer } from '../shapes/container-details.ts';
import { containerChecks, containerJudges } from '../shapes/container-filters.ts';
import { summariseReplica } from '../shapes/container-list.ts';
import { stateWord } from '../shapes/status.ts';

/** What can be read of containers: the machines of all stacks. */
export const containerRoutes = (host: Host): Routes => ({
  'GET /containers/json': ({ query, reply }) => reply.json(listContainers(host, query)),
  'GET /containers/{id}/json': ({ params, reply }) => {
    const detail = host.find(params.id ?? '');
    reply.json(inspectContainer(detail, host.execs.of(detail.status.id)));
  },
  'GET /containers/{id}/logs': (call) => sendLogs(host, call),
  'GET /containers/{id}/top': (call) => sendProcesses(host, call),
  'GET /containers/{id}/changes': (call) => sendChanges(host, call),
  'POST /commit': (call) => commit(host, call),
});

const KINDS = { changed: 0, added: 1, deleted: 2 } as const;

const sendChanges = async (host: Host, { params, reply, signal }: Call): Promise<void> => {
  const detail = host.find(params.id ?? '');
  const images = await host.images();
  const changes = await throughItsEnd({
    ...{ host, detail, signal },
    work: (now) => host.withStack(now.stack, (stack) => listMachineChanges({ stack, detail: now, images }, signal)),
  });
  reply.json(changes.length === 0 ? null : changes.map(({ path, kind }) => ({ Path: path, Kind: KINDS[kind] })));
};

const commit = async (host: Host, { query, reply, signal }: Call): Promise<void> => {
  const detail = host.find(query.text('container') ?? '');
  const images = await host.images();
  const words = {
    reference: imageNamed(query.text('repo'), query.text('tag')),
    author: query.text('author'),
    message: query.text('comment'),
    changes: query.list('changes').filter((text) => text !== ''),
    now: Date.now(),
  };
  const { id } = await throughItsEnd({
    ...{ host, detail, signal },
    work: (now) => host.withStack(now.stack, (stack) => commitMachine({ stack, detail: now, images }, words, signal)),
  });
  host.events.tell({ type: 'image', action: 'commit', id, attributes: { name: words.reference ?? '' } });
  reply.json({ Id: id }, 201);
};

/** An image's name as `repo` and `tag` of a query give it. */
export const imageNamed = (repository: string | undefined, tag: string | undefined): string | undefined =>
  repository === undefined || tag === undefined ? repository : `${repository}:${tag}`;

const listContainers = (host: Host, query: Query): unknown[] => {
  const all = host.objects.replicas().sort((a, b) => b.status.createdAt - a.status.createdAt);
  const matches = compileFilters(
    query,
    containerJudges((reference) => host.find(reference).status.createdAt),
    containerChecks((reference) => host.find(reference)),
  );
  const filters = readFilters(query);
  const limit = query.int('limit') ?? 0;
  const shown = query.bool('all') || limit > 0 || filters.status !== undefined || filters.exited !== undefined;
  const found = all.filter((detail) => (shown || isUp(detail.status)) && matches(detail));
  const now = Date.now();
  return (limit > 0 ? found.slice(0, limit) : found).map((detail) => summariseReplica(detail, now));
};

/** The streams that `stdout` and `stderr` ask for. Throws 400 where there are none. */
export const streamsOf = (query: Query, raw: boolean): Streams => {
  const streams = { stdout: query.bool('stdout'), stderr: query.bool('stderr'), raw };
  if (!streams.stdout && !streams.stderr && !query.bool('stdin')) {
    throw new ApiError(400, 'Bad parameters: you must choose at least one stream');
  }
  return streams;
};

const sendLogs = async (host: Host, { params, query, reply, signal, version }: Call): Promise<void> => {
  const detail = host.find(params.id ?? '');
  const streams = streamsOf(query, detail.spec.process.tty);
  // For logs docker takes an `until` of 0 for none.
  const until = query.text('until') === '0' ? undefined : query.moment('until');
  const options = { follow: query.bool('follow'), since: query.moment('since'), until, tail: tailOf(query) };
  const sink = reply.stream(outputType(streams.raw, version));
  await writeLogs(host, detail, { options, signal }, (record) =>
    writeOutput(sink, streams, { stream: record.stream, data: lineOf(record, query.bool('timestamps')) }),
  );
  sink.end();
};

const tailOf = (query: Query): number | undefined => {
  const text = query.text('tail');
  return text === undefined || text === 'all' || text.startsWith('-') ? undefined : query.int('tail');
};

/** Gives each line of a machine to `write`. */
export const writeLogs = (
  host: Host,
  { stack: name, status }: ReplicaDetail,
  from: {
    readonly options: { follow: boolean; since: number | undefined; until: number | undefined; tail: number | undefined };
    readonly signal: AbortSignal;
  },
  write: (record: LogRecord) => Promise<void>,
): Promise<void> =>
  host.withStack(name, async (stack) => {
    for await (const record of stack.logs({ ...from.options, services: [status.service], index: status.number }, from.signal)) {
      if (record.replica === status.name) {
        await write(record);
      }
    }
  });

/** The line break that the program wrote is not kept, so a last line without one gets one. */
export const lineOf = (record: LogRecord, timestamps: boolean): Buffer =>
  Buffer.from(`${timestamps ? `${nanoTime(record.time)} ` : ''}${record.line}\n`);

/** With the nine digits of a second that clients cut the time off by. */
const nanoTime = (time: number): string => new Date(time).toISOString().replace('Z', '000000Z');

const sendProcesses = async (host: Host, { params, reply, signal }: Call): Promise<void> => {
  const { status, stack: name } = needRunning(host, params.id ?? '');
  const text = await host.withStack(name, (stack) => listProcesses(stack, status, signal));
  reply.json({
    Titles: ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD'],
    Processes: formatProcesses(status, text, Date.now()).map((row) => row.slice(2)),
  });
};

/** Throws 404, and 409 for a machine that does not run. */
export const needRunning = (host: Host, reference: string): ReplicaDetail => {
  const detail = host.find(reference);
  const word = stateWord(detail.status);
  if (word !== 'running') {
    throw new ApiError(
      409,
      word === 'paused'
        ? `Container ${reference} is paused, unpause the container before exec`
        : `container ${detail.status.id} is not running`,
    );
  }
  return detail;
};
