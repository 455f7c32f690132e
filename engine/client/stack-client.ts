import { HyprError } from '../../base/errors.ts';
import { homePaths } from '../../base/paths.ts';
import type { Project } from '../../compose/model/model.ts';
import { CallError, fromCallError } from '../api/call-error.ts';
import type { ApiClient } from '../api/client/client.ts';
import type { EventJson } from '../api/gen/hypr_pb.ts';
import { eventFrom, logFrom } from '../api/messages/events.ts';
import { replicaFrom, usageFrom } from '../api/messages/replicas.ts';
import { downJson, upJson, verbJson } from '../api/messages/requests.ts';
import { needed } from '../api/messages/values.ts';
import { openLogStore } from '../logs/logs.ts';
import { readMerged } from '../logs/read-logs.ts';
import type { EngineEvent, LogRecord, ReplicaStatus, ReplicaUsage } from '../model/events.ts';
import { hasMachine } from '../model/lifecycle.ts';
import { nothingToRemove } from '../model/notices.ts';
import type {
  AttachOptions,
  AttachSession,
  CopyPlace,
  DownOptions,
  ExecOptions,
  ExecSession,
  LogsOptions,
  RunOptions,
  RunSession,
  ServiceVerb,
  Stack,
  UpOptions,
  VerbOptions,
  VolumeSummary,
} from '../model/types.ts';
import { replicaStatus } from '../replica/parts/status.ts';
import type { StateStore } from '../state/store.ts';
import { SupervisorLink } from './link/supervisor-link.ts';
import { copyInto, copyOut, openAttach, openExec, openRun } from './sessions.ts';

type OnEvent = (event: EngineEvent) => void;

/**
 * A stack as commands see it. Reads come from the supervisor, or from the database when nothing runs. A supervisor that
 * was killed is replaced first.
 */
export class StackClient implements Stack {
  readonly name: string;
  #opened: StateStore | undefined;
  readonly #paths = homePaths();
  readonly #link: SupervisorLink;
  readonly #onNotice: (message: string) => void;

  constructor(name: string, onNotice: (message: string) => void) {
    this.name = name;
    this.#onNotice = onNotice;
    const isNeeded = async () => (await this.#store()).vms(name).some((vm) => hasMachine(vm.state) || vm.state === 'restarting');
    this.#link = new SupervisorLink({ stack: name, paths: this.#paths, isNeeded });
  }

  /** Opened on first use, which also loads SQLite; not needed while a supervisor answers. */
  async #store(): Promise<StateStore> {
    const { openStateStore } = await import('../state/store.ts');
    this.#opened ??= openStateStore(this.#paths.database);
    return this.#opened;
  }

  async up(project: Project, options: UpOptions, onEvent: OnEvent, signal?: AbortSignal): Promise<void> {
    const api = await this.#supervisor(onEvent, signal);
    this.#link.tellAge((message) => onEvent({ type: 'warning', time: Date.now(), message }));
    await this.#operation(() => api.rpc.up(upJson(project, options), { signal }), onEvent, signal);
  }

  async down(project: Project | undefined, options: DownOptions, onEvent: OnEvent, signal?: AbortSignal): Promise<void> {
    if (!(await this.#hasToRemove(project, options))) {
      onEvent({ type: 'warning', time: Date.now(), message: nothingToRemove(this.name) });
      return;
    }
    const api = await this.#supervisor(onEvent, signal);
    await this.#operation(() => api.rpc.down(downJson(project, options), { signal }), onEvent, signal);
    if (options.services.length === 0) {
      await this.#link.closeAndAwaitEnd();
    }
  }

  /** Volumes and images stay when a stack is taken down, and are removed by a later `down` that asks for it. */
  async #hasToRemove(project: Project | undefined, options: DownOptions): Promise<boolean> {
    const store = await this.#store();
    return (
      store.stack(this.name) !== undefined ||
      (options.volumes && store.volumes().some(({ stack }) => stack === this.name)) ||
      (options.removeImages !== 'none' && project !== undefined)
    );
  }

  async verb(verb: ServiceVerb, project: Project | undefined, options: VerbOptions, onEvent: OnEvent, signal?: AbortSignal): Promise<void> {
    const api = await this.#supervisor(onEvent, signal);
    await this.#operation(() => api.rpc.verb(verbJson(verb, project, options), { signal }), onEvent, signal);
  }

  async plan(project: Project, options: UpOptions): Promise<string> {
    const { planUp } = await import('./plan-up.ts');
    return planUp({ project, options, store: await this.#store() });
  }

  async ps(): Promise<ReplicaStatus[]> {
    const api = await this.#supervisorIfRunning();
    if (api === undefined) {
      const store = await this.#store();
      const leases = store.leases(this.name);
      return store.vms(this.name).map((vm) => replicaStatus(vm, leases));
    }
    this.#link.tellAge(this.#onNotice);
    return call(async () => ((await api.rpc.ps({})).replicas ?? []).map(replicaFrom));
  }

  async volumes(): Promise<VolumeSummary[]> {
    const store = await this.#store();
    const vms = store.vms(this.name);
    return store
      .volumes()
      .filter((row) => row.stack === this.name)
      .map(({ name, path, labels, createdAt }) => {
        const users = vms.filter((vm) => vm.spec.mounts.some((mount) => mount.kind === 'volume' && mount.volume === name));
        return { name, path, labels, createdAt, services: [...new Set(users.map((vm) => vm.service))].sort() };
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  logNames(): Promise<string[]> {
    return openLogStore(`${this.#paths.logs}/${this.name}`).names();
  }

  async *logs(options: LogsOptions, signal?: AbortSignal): AsyncIterable<LogRecord> {
    const api = await this.#supervisorIfRunning();
    if (api === undefined) {
      const store = await this.#store();
      const vms = store.vms(this.name);
      const stackCreatedAt = store.stack(this.name)?.createdAt;
      const sources = vms.map(({ name, service, number, createdAt }) => ({ replica: name, service, number, createdAt }));
      yield* readMerged(openLogStore(`${this.#paths.logs}/${this.name}`), sources, { ...options, stackCreatedAt });
      return;
    }
    try {
      for await (const message of api.rpc.logs(options, { signal })) {
        yield logFrom(message);
      }
    } catch (error) {
      throw fromCallError(error, signal);
    }
  }

  async exec(options: ExecOptions, signal?: AbortSignal): Promise<ExecSession> {
    return openExec(await this.#running(options.service), options, signal);
  }

  async run(project: Project, options: RunOptions, onEvent: OnEvent, signal?: AbortSignal): Promise<RunSession> {
    return openRun(await this.#supervisor(onEvent, signal), { project, options, onEvent }, signal);
  }

  async attach(options: AttachOptions, signal?: AbortSignal): Promise<AttachSession> {
    const api = options.wait ? await this.#supervisor(() => {}, signal) : await this.#running(options.service);
    return openAttach(api, options, signal);
  }

  async copyTo(place: CopyPlace, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
    await copyInto(await this.#withFiles(place.service, signal), place, tar, signal);
  }

  async *copyFrom(place: CopyPlace, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    yield* copyOut(await this.#withFiles(place.service, signal), place, signal);
  }

  async *events(options: { logs: boolean; usage: boolean; start?: boolean }, signal?: AbortSignal): AsyncIterable<EngineEvent> {
    const api = options.start
      ? await this.#supervisor((event) => event.type === 'warning' && this.#onNotice(event.message), signal)
      : await this.#supervisorIfRunning();
    if (api === undefined) {
      return;
    }
    try {
      for await (const message of api.rpc.events({ logs: options.logs, usage: options.usage }, { signal })) {
        const event = eventFrom(message);
        if (event !== undefined) {
          yield event;
        }
      }
      throw new CallError('unavailable', 'the events ended');
    } catch (error) {
      if (signal?.aborted) {
        return;
      }
      throw fromCallError(error);
    }
  }

  async stats(): Promise<ReplicaUsage[]> {
    const api = await this.#supervisorIfRunning();
    return api === undefined ? [] : call(async () => ((await api.rpc.stats({})).usages ?? []).map(usageFrom));
  }

  async wait(services: readonly string[], signal?: AbortSignal): Promise<number> {
    const api = await this.#supervisorIfRunning();
    if (api === undefined) {
      const ended = (await this.#store()).vms(this.name).find((vm) => services.length === 0 || services.includes(vm.service));
      if (ended === undefined) {
        throw new HyprError('STACK_NOT_RUNNING', `no containers for project "${this.name}"`);
      }
      return ended.exitCode;
    }
    return call(async () => needed((await api.rpc.wait({ services }, { signal })).exitCode, 'the exit code'), signal);
  }

  async close(): Promise<void> {
    this.#link.close();
    this.#opened?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #operation(start: () => AsyncIterable<EventJson>, onEvent: OnEvent, signal: AbortSignal | undefined): Promise<void> {
    let isFinished = false;
    try {
      for await (const message of start()) {
        const event = eventFrom(message);
        isFinished ||= event?.type === 'finished';
        if (event !== undefined) {
          onEvent(event);
        }
      }
      if (!isFinished) {
        throw new CallError('unavailable', 'the operation did not finish');
      }
    } catch (error) {
      throw fromCallError(error, signal);
    }
  }

  /** Messages about what a new supervisor found are emitted with the operation's events. */
  #supervisor(onEvent: OnEvent, signal?: AbortSignal): Promise<ApiClient> {
    return this.#link.demand((message) => onEvent({ type: 'warning', time: Date.now(), message }), signal);
  }

  #supervisorIfRunning(): Promise<ApiClient | undefined> {
    return this.#link.ifRunning(this.#onNotice);
  }

  /** Whose replicas may all be at rest: their files can be had as well. */
  async #withFiles(service: string, signal: AbortSignal | undefined): Promise<ApiClient> {
    const isThere = (await this.#store()).vms(this.name).some((vm) => vm.service === service);
    return isThere ? this.#supervisor(() => {}, signal) : this.#running(service);
  }

  async #running(service: string): Promise<ApiClient> {
    const api = await this.#supervisorIfRunning();
    if (api === undefined) {
      throw new HyprError('STACK_NOT_RUNNING', `service "${service}" is not running`, { hint: `start it: hypr up -d ${service}` });
    }
    return api;
  }
}

const call = async <T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    throw fromCallError(error, signal);
  }
};
