import { homedir } from 'node:os';
import { isAbsolute } from 'node:path';
import { toHyprError } from '../../../base/errors.ts';
import { loadProject, type Project } from '../../../compose/index.ts';
import { listStacks } from '../../client/list-stacks.ts';
import type { EngineEvent } from '../../model/events.ts';
import { DOWN_DEFAULTS, UP_DEFAULTS, VERB_DEFAULTS } from '../../model/option-defaults.ts';
import type { ServiceVerb } from '../../model/types.ts';
import { ApiError } from '../http/errors.ts';
import type { Call, Routes } from '../http/router.ts';
import { asMap, asText, asTexts } from '../http/values.ts';
import type { Host } from '../machines/host.ts';
import { describeMachine } from './machines.ts';

/** Stacks as the JSON API has them. */
export const stackRoutes = (host: Host): Routes => ({
  'GET /stacks': ({ reply }) => reply.json(listStacks({ all: true })),
  'POST /stacks': (call) => deploy(host, call),
  'GET /stacks/{name}': ({ params, reply }) => {
    const stack = needStack(params.name ?? '');
    const machines = host.objects.replicas().filter((detail) => detail.stack === stack.name);
    reply.json({ ...stack, machines: machines.map(describeMachine) });
  },
  'GET /stacks/{name}/logs': (call) => sendLogs(host, call),
  ...Object.fromEntries(
    (['start', 'stop', 'restart', 'pause', 'unpause'] as const).map((verb) => [
      `POST /stacks/{name}/${verb}`,
      (call: Call) => changeStack(host, call, verb),
    ]),
  ),
  'DELETE /stacks/{name}': async ({ params, query, reply, signal }) => {
    const { name } = needStack(params.name ?? '');
    const options = { ...DOWN_DEFAULTS, removeOrphans: true, volumes: query.bool('volumes') };
    await host.changeStack(name, (stack) => stack.down(undefined, options, () => {}, signal));
    reply.empty(204);
  },
});

const needStack = (name: string): ReturnType<typeof listStacks>[number] => {
  const found = listStacks({ all: true }).find((stack) => stack.name === name);
  if (found === undefined) {
    throw new ApiError(404, `No such stack: ${name}`);
  }
  return found;
};

const changeStack = async (host: Host, { params, reply, signal }: Call, verb: ServiceVerb): Promise<void> => {
  const { name } = needStack(params.name ?? '');
  await host.changeStack(name, (stack) => stack.verb(verb, undefined, VERB_DEFAULTS, () => {}, signal));
  reply.empty(204);
};

/**
 * `up` of a Compose file: `{compose, directory, name, env, profiles, services, wait, build}`. `compose` is its text; without it those of `directory` are
 * read. Variables are those of `env` alone. What is wrong with the file is an answer with its status; then come lines of JSON: what
 * happens, and at the end `finished` or `error`.
 */
const deploy = async (host: Host, { body, reply, signal }: Call): Promise<void> => {
  const request = await body.json();
  const project = await projectOf(request, signal);
  const sink = reply.stream('application/x-ndjson');
  const tell = (line: Record<string, unknown>): void => void sink.write(`${JSON.stringify(line)}\n`);
  const options = {
    ...UP_DEFAULTS,
    services: asTexts(request.services),
    wait: request.wait === true,
    build: request.build === true,
  };
  try {
    await host.changeStack(project.name, (stack) => stack.up(project, options, (event) => tellEvent(event, tell), signal));
    tell({ type: 'finished', stack: project.name });
  } catch (error) {
    const { code, message, hint, details } = toHyprError(error);
    tell({ type: 'error', code, message, ...(hint === undefined ? {} : { hint }), ...(details.length === 0 ? {} : { details }) });
  }
  sink.end();
};

/** Throws 400, 501, and what is wrong with the Compose file. */
const projectOf = async (request: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<Project> => {
  const [compose, directory = homedir()] = [asText(request.compose), asText(request.directory)];
  if (!isAbsolute(directory)) {
    throw new ApiError(400, `directory is an absolute path, not "${directory}"`);
  }
  if (compose === undefined && request.directory === undefined) {
    throw new ApiError(400, 'compose is missing: the text of a Compose file; or a directory that has one');
  }
  const name = asText(request.name);
  const { project } = await loadProject({
    cwd: directory,
    ...(compose === undefined ? {} : { files: ['-'], stdin: async () => Buffer.from(compose) }),
    ...(name === undefined ? {} : { projectName: name }),
    env: asMap(request.env),
    profiles: asTexts(request.profiles),
    services: asTexts(request.services),
    dependOnContainers: true,
    builds: true,
    signal,
  });
  const provided = Object.entries(project.services).find(([, service]) => service.provider !== undefined);
  if (provided !== undefined) {
    throw new ApiError(501, `service ${provided[0]}: a provider is a program of the command line: bring this stack up with hypr up`);
  }
  return project;
};

const tellEvent = (event: EngineEvent, tell: (line: Record<string, unknown>) => void): void => {
  if (event.type === 'progress') {
    tell({ type: event.type, ...event.progress });
  } else if (event.type === 'warning') {
    tell({ type: event.type, message: event.message });
  } else if (event.type === 'build') {
    tell({ type: event.type, service: event.service, event: event.event });
  }
};

/** Lines of all replicas as JSON; `service=` (again for more), `follow=1`, `tail=N` of each replica, `since=TIME`. */
const sendLogs = async (host: Host, { params, query, reply, signal }: Call): Promise<void> => {
  const { name } = needStack(params.name ?? '');
  const options = {
    services: query.list('service'),
    follow: query.bool('follow'),
    tail: query.int('tail'),
    since: query.moment('since'),
    until: undefined,
    index: undefined,
  };
  const sink = reply.stream('application/x-ndjson');
  await host.withStack(name, async (stack) => {
    for await (const { time, replica, stream, line } of stack.logs(options, signal)) {
      await sink.write(`${JSON.stringify({ time: new Date(time).toISOString(), machine: replica, stream, line })}\n`);
    }
  });
  sink.end();
};
