import { HyprError } from '../../../base/errors.ts';
import { DOWN_DEFAULTS, VERB_DEFAULTS } from '../../model/option-defaults.ts';
import { signalNumber } from '../../model/signals.ts';
import type { ReplicaDetail, ServiceVerb, VerbOptions } from '../../model/types.ts';
import { ApiError, describeError, notHere } from '../http/errors.ts';
import { compileFilters, labelJudges, untilOf } from '../http/filters.ts';
import type { Call, Routes } from '../http/router.ts';
import { asText } from '../http/values.ts';
import { checkName, createMachine, withFreeName } from '../machines/create.ts';
import { containerEvent } from '../machines/events.ts';
import type { Host } from '../machines/host.ts';
import { awaitEnd, isUp, type WaitCondition } from '../machines/wait.ts';
import { labelsOf } from '../shapes/container.ts';
import { stateWord } from '../shapes/status.ts';
import { needImage } from './images.ts';
import { findNetwork } from './networks.ts';

/** From a container's creation to its removal. */
export const lifecycleRoutes = (host: Host): Routes => ({
  'POST /containers/create': (call) => create(host, call),
  'POST /containers/{id}/start': (call) => start(host, call),
  'POST /containers/{id}/stop': (call) => stop(host, call),
  'POST /containers/{id}/restart': (call) => restart(host, call),
  'POST /containers/{id}/kill': (call) => kill(host, call),
  'POST /containers/{id}/pause': (call) => pause(host, call),
  'POST /containers/{id}/unpause': (call) => unpause(host, call),
  'POST /containers/{id}/wait': (call) => wait(host, call),
  'POST /containers/{id}/rename': (call) => rename(host, call),
  'DELETE /containers/{id}': (call) => remove(host, call),
  'POST /containers/prune': (call) => prune(host, call),
});

const create = async (host: Host, { query, body, reply, signal }: Call): Promise<void> => {
  const config = await body.json();
  const image = await needImage(host, asText(config.Image) ?? '');
  const id = await createMachine(host, { name: query.text('name'), config, image, findNetwork: (name) => findNetwork(host, name), signal });
  reply.json({ Id: id, Warnings: [] }, 201);
};

const verb = (host: Host, { stack, status }: ReplicaDetail, name: ServiceVerb, options: Partial<VerbOptions> = {}): Promise<void> =>
  host.changeStack(stack, (opened) => opened.verb(name, undefined, { ...VERB_DEFAULTS, ...options, replicas: [status.name] }, () => {}));

const change = async (host: Host, { params, reply }: Call, name: ServiceVerb, options: Partial<VerbOptions> = {}): Promise<void> => {
  await verb(host, host.find(params.id ?? ''), name, options);
  reply.empty(204);
};

const start = async (host: Host, { params, reply }: Call): Promise<void> => {
  const detail = host.find(params.id ?? '');
  if (stateWord(detail.status) === 'running') {
    return reply.empty(304);
  }
  try {
    await verb(host, detail, 'start');
  } catch (error) {
    throw startError(error);
  }
  reply.empty(204);
};

/** With the words that docker has for a port that is taken, by which clients know that another one may do. */
const startError = (error: unknown): unknown =>
  error instanceof HyprError && error.code === 'NET_PORT_IN_USE'
    ? new ApiError(500, `${describeError(error).message}: port is already allocated`)
    : error;

/** Seconds; -1 is for ever. */
const graceOf = ({ query }: Call): number | undefined => {
  const seconds = query.int('t');
  return seconds === undefined ? undefined : seconds < 0 ? FOR_EVER : seconds;
};

const FOR_EVER = 10 * 365 * 24 * 3600;

const restart = async (host: Host, call: Call): Promise<void> => {
  checkStopSignal(host.find(call.params.id ?? ''), call);
  await change(host, call, 'restart', { timeout: graceOf(call) });
};

/** A machine has one stop signal, which was set when it was created; to be sent another one in its place would be a surprise. */
const checkStopSignal = ({ spec }: ReplicaDetail, { query }: Call): void => {
  const wanted = query.text('signal') ?? '';
  if (wanted !== '' && needSignal(wanted) !== spec.stopSignal) {
    throw notHere(
      `a stop with ${wanted}`,
      'a machine is stopped with the signal that it was created with (--stop-signal); kill sends any other',
    );
  }
};

const needSignal = (text: string): number => {
  try {
    return signalNumber(text);
  } catch {
    throw new ApiError(400, `invalid signal: ${text}`);
  }
};

const stop = async (host: Host, call: Call): Promise<void> => {
  const detail = host.find(call.params.id ?? '');
  if (!isUp(detail.status)) {
    return call.reply.empty(304);
  }
  checkStopSignal(detail, call);
  await verb(host, detail, 'stop', { timeout: graceOf(call) });
  call.reply.empty(204);
};

const kill = async (host: Host, { params, query, reply }: Call): Promise<void> => {
  const detail = host.find(params.id ?? '');
  const signal = query.text('signal') ?? 'SIGKILL';
  needSignal(signal);
  if (!isUp(detail.status)) {
    throw new ApiError(409, `cannot kill container: ${params.id}: container ${detail.status.id} is not running`);
  }
  await verb(host, detail, 'kill', { signal });
  reply.empty(204);
};

const pause = async (host: Host, { params, reply }: Call): Promise<void> => {
  const detail = host.find(params.id ?? '');
  const word = stateWord(detail.status);
  if (word !== 'running') {
    throw new ApiError(409, word === 'paused' ? `Container ${params.id} is already paused` : `Container ${params.id} is not running`);
  }
  await verb(host, detail, 'pause');
  reply.empty(204);
};

const unpause = async (host: Host, { params, reply }: Call): Promise<void> => {
  const detail = host.find(params.id ?? '');
  if (stateWord(detail.status) !== 'paused') {
    throw new ApiError(409, `Container ${params.id} is not paused`);
  }
  await verb(host, detail, detail.status.state === 'suspended' ? 'resume' : 'unpause');
  reply.empty(204);
};

const rename = async (host: Host, { params, query, reply }: Call): Promise<void> => {
  const detail = host.find(params.id ?? '');
  const name = checkName(query.text('name') ?? '');
  if (!detail.standalone) {
    throw notHere(`renaming ${detail.status.name}`, 'a replica is named by its service; write container_name: into the Compose file');
  }
  await withFreeName(host, name, () => {
    host.letGo(detail.stack);
    return host.objects.renameReplica(detail.status.id, name);
  });
  const [renamed] = host.objects.replicas(detail.status.id);
  host.events.tell(containerEvent('rename', renamed ?? detail, { oldName: `/${detail.status.name}` }));
  reply.empty(204);
};

const CONDITIONS: readonly string[] = ['not-running', 'next-exit', 'removed'] satisfies WaitCondition[];

/** The head is sent as soon as nothing can be missed: `docker run` starts the container only then. */
const wait = async (host: Host, { params, query, reply, signal }: Call): Promise<void> => {
  const detail = host.find(params.id ?? '');
  const condition = query.text('condition') ?? 'not-running';
  if (!CONDITIONS.includes(condition)) {
    throw new ApiError(400, `invalid condition: "${condition}"`);
  }
  let sink: ReturnType<typeof reply.stream> | undefined;
  const begin = (): NonNullable<typeof sink> => {
    sink ??= reply.stream('application/json');
    return sink;
  };
  const code = await awaitEnd(host, detail, { condition: condition as WaitCondition, signal, onReady: () => void begin() });
  void begin().write(`${JSON.stringify({ StatusCode: code })}\n`);
  begin().end();
};

const remove = async (host: Host, { params, query, reply }: Call): Promise<void> => {
  const detail = host.find(params.id ?? '');
  if (isUp(detail.status) && !query.bool('force')) {
    throw new ApiError(
      409,
      `cannot remove container "/${detail.status.name}": container is ${stateWord(detail.status)}: stop the container before removing or force remove`,
    );
  }
  await removeMachine(host, detail, query.bool('v'));
  reply.empty(204);
};

/** A stack that was made for it goes with it. `volumes`: and its anonymous volumes; those with a name stay. */
const removeMachine = async (host: Host, detail: ReplicaDetail, volumes: boolean): Promise<void> => {
  if (volumes || !detail.standalone) {
    await verb(host, detail, 'rm', { stop: true, timeout: 0, volumes });
  }
  if (detail.standalone) {
    await host.changeStack(detail.stack, (stack) => stack.down(undefined, { ...DOWN_DEFAULTS, removeOrphans: true, timeout: 0 }, () => {}));
  }
};

const prune = async (host: Host, { query, reply }: Call): Promise<void> => {
  const matches = compileFilters<ReplicaDetail>(query, {
    ...labelJudges(labelsOf),
    until: ({ status }, value) => status.createdAt < untilOf(value),
  });
  const removed: string[] = [];
  for (const detail of host.objects.replicas()) {
    if (!isUp(detail.status) && matches(detail)) {
      await removeMachine(host, detail, false);
      removed.push(detail.status.id);
    }
  }
  reply.json({ ContainersDeleted: removed.length === 0 ? null : removed, SpaceReclaimed: 0 });
};
