import { listStacks } from '../../client/list-stacks.ts';
import { DOWN_DEFAULTS, VERB_DEFAULTS } from '../../model/option-defaults.ts';
import type { ServiceVerb } from '../../model/types.ts';
import { ApiError } from '../http/errors.ts';
import type { Call, Handler, Routes } from '../http/router.ts';
import type { Host } from '../machines/host.ts';
import { dockerRoutes } from '../routes/index.ts';
import { describeMachine, machineRoutes } from './machines.ts';
import { describeApi, OPERATIONS, writePage } from './openapi.ts';

/** The JSON API, below `/api/v1` and without it. What is docker's to answer is answered as in its Engine API. */
export const restRoutes = (host: Host): Routes => {
  const docker = dockerRoutes(host);
  const lent = Object.fromEntries(OPERATIONS.flatMap(({ route, as }) => (as === undefined ? [] : [[route, docker[as] ?? missing(as)]])));
  return {
    ...lent,
    ...machineRoutes(host),
    ...stackRoutes(host),
    'GET /openapi.json': ({ reply }) => reply.json(describeApi()),
    'GET /docs': ({ reply }) => {
      const sink = reply.stream('text/html; charset=utf-8', { 'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'" });
      void sink.write(writePage());
      sink.end();
    },
  };
};

const missing = (route: string): Handler => {
  throw new RangeError(`there is no ${route}`);
};

const stackRoutes = (host: Host): Routes => ({
  'GET /stacks': ({ reply }) => reply.json(listStacks({ all: true })),
  'GET /stacks/{name}': ({ params, reply }) => {
    const stack = needStack(params.name ?? '');
    const machines = host.objects.replicas().filter((detail) => detail.stack === stack.name);
    reply.json({ ...stack, machines: machines.map(describeMachine) });
  },
  ...Object.fromEntries(
    (['start', 'stop', 'restart', 'pause', 'unpause'] as const).map((verb) => [
      `POST /stacks/{name}/${verb}`,
      (call: Call) => changeStack(host, call, verb),
    ]),
  ),
  'DELETE /stacks/{name}': async ({ params, query, reply, signal }) => {
    const { name } = needStack(params.name ?? '');
    const options = { ...DOWN_DEFAULTS, volumes: query.bool('volumes') };
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
