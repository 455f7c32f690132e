import { sleep } from '../base/deadline.ts';
import { HyprError } from '../base/errors.ts';
import { homePaths } from '../base/paths.ts';
import { identifyProcess, isAlive } from '../base/process.ts';
import type { Project } from '../compose/model.ts';
import { type ApiClient, connectApi } from './api/client.ts';
import { eventFrom, fromStruct, logFrom, toStruct } from './api/convert.ts';
import { fromConnectError } from './api/errors.ts';
import type { Event } from './api/gen/hypr_pb.ts';
import type { EngineEvent, LogRecord, ReplicaStatus, ReplicaUsage } from './events.ts';
import { hasMachine } from './lifecycle.ts';
import { openLogStore } from './logs.ts';
import { readMerged } from './read-logs.ts';
import { replicaStatus } from './replica-status.ts';
import { copyInto, copyOut, openAttach, openExec, openRun } from './sessions.ts';
import { stackPaths } from './stack-paths.ts';
import { startSupervisor } from './start-supervisor.ts';
import { openStateStore, type StateStore } from './state/store.ts';
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
} from './types.ts';

type OnEvent = (event: EngineEvent) => void;

/**
 * A stack from a command's point of view. Reads come from the supervisor when there is one and from
 * the database when nothing runs; a supervisor that was killed is replaced before anything else.
 */
export class StackClient implements Stack {
  readonly name: string;
  #opened: StateStore | undefined;
  readonly #paths = homePaths();
  #api: ApiClient | undefined;
  /** Of the supervisor that answers. */
  #pid = 0;
  #starting: Promise<ApiClient> | undefined;
  #recovered: readonly string[] = [];

  readonly #onNotice: (message: string) => void;

  constructor(name: string, onNotice: (message: string) => void) {
    this.name = name;
    this.#onNotice = onNotice;
  }

  /** Opened when it is asked: while a supervisor answers, it is not. */
  get #store(): StateStore {
    this.#opened ??= openStateStore(this.#paths.database);
    return this.#opened;
  }

  async up(project: Project, options: UpOptions, onEvent: OnEvent, signal?: AbortSignal): Promise<void> {
    const api = await this.#supervisor(onEvent, signal);
    await this.#operation(
      () => api.rpc.up({ project: toStruct(project), options: toStruct(options) }, callOptions(signal)),
      onEvent,
      signal,
    );
  }

  async down(project: Project | undefined, options: DownOptions, onEvent: OnEvent, signal?: AbortSignal): Promise<void> {
    if (this.#store.stack(this.name) === undefined) {
      onEvent({ type: 'warning', time: Date.now(), message: `No resource found to remove for project "${this.name}".` });
      return;
    }
    const api = await this.#supervisor(onEvent, signal);
    const request = { ...(project ? { project: toStruct(project) } : {}), options: toStruct(options) };
    await this.#operation(() => api.rpc.down(request, callOptions(signal)), onEvent, signal);
    if (options.services.length === 0) {
      this.#api?.close();
      this.#api = undefined;
      await awaitEnd(this.#pid);
    }
  }

  async verb(verb: ServiceVerb, project: Project | undefined, options: VerbOptions, onEvent: OnEvent, signal?: AbortSignal): Promise<void> {
    const api = await this.#supervisor(onEvent, signal);
    const request = { verb, ...(project ? { project: toStruct(project) } : {}), options: toStruct(options) };
    await this.#operation(() => api.rpc.verb(request, callOptions(signal)), onEvent, signal);
  }

  async plan(project: Project, options: UpOptions): Promise<string> {
    const { planUp } = await import('./plan-up.ts');
    return planUp({ project, options, store: this.#store });
  }

  async ps(): Promise<ReplicaStatus[]> {
    const api = await this.#supervisorIfRunning();
    if (api === undefined) {
      const leases = this.#store.leases(this.name);
      return this.#store.vms(this.name).map((vm) => replicaStatus(vm, leases));
    }
    return call(async () => (await api.rpc.ps({})).replicas.map((replica) => fromStruct<ReplicaStatus>(replica)));
  }

  async volumes(): Promise<VolumeSummary[]> {
    const vms = this.#store.vms(this.name);
    return this.#store
      .volumes()
      .filter((row) => row.stack === this.name)
      .map(({ name, path, labels, createdAt }) => {
        const users = vms.filter((vm) => vm.spec.mounts.some((mount) => mount.kind === 'volume' && mount.volume === name));
        return { name, path, labels, createdAt, services: [...new Set(users.map((vm) => vm.service))].sort() };
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async *logs(options: LogsOptions, signal?: AbortSignal): AsyncIterable<LogRecord> {
    const api = await this.#supervisorIfRunning();
    if (api === undefined) {
      const sources = this.#store.vms(this.name).map((vm) => ({ replica: vm.name, service: vm.service, number: vm.number }));
      yield* readMerged(openLogStore(`${this.#paths.logs}/${this.name}`), sources, options);
      return;
    }
    const { services, follow, tail, since, until, index } = options;
    const request = { services: [...services], follow, ...definedOnly({ tail, since, until, index }) };
    try {
      for await (const message of api.rpc.logs(request, callOptions(signal))) {
        yield logFrom(message);
      }
    } catch (error) {
      throw fromConnectError(error, signal);
    }
  }

  async exec(options: ExecOptions, signal?: AbortSignal): Promise<ExecSession> {
    return openExec(await this.#running(options.service), options, signal);
  }

  async run(project: Project, options: RunOptions, onEvent: OnEvent, signal?: AbortSignal): Promise<RunSession> {
    return openRun(await this.#supervisor(onEvent, signal), { project, options, onEvent }, signal);
  }

  async attach(options: AttachOptions, signal?: AbortSignal): Promise<AttachSession> {
    return openAttach(await this.#running(options.service), options, signal);
  }

  async copyTo(place: CopyPlace, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
    await copyInto(await this.#running(place.service), place, tar, signal);
  }

  async *copyFrom(place: CopyPlace, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    yield* copyOut(await this.#running(place.service), place, signal);
  }

  async *events(options: { logs: boolean; usage: boolean; start?: boolean }, signal?: AbortSignal): AsyncIterable<EngineEvent> {
    const api = options.start
      ? await this.#supervisor((event) => event.type === 'warning' && this.#onNotice(event.message), signal)
      : await this.#supervisorIfRunning();
    if (api === undefined) {
      return;
    }
    try {
      for await (const message of api.rpc.events({ logs: options.logs, usage: options.usage }, callOptions(signal))) {
        yield eventFrom(message);
      }
    } catch (error) {
      if (signal?.aborted) {
        return;
      }
      throw fromConnectError(error);
    }
  }

  async stats(): Promise<ReplicaUsage[]> {
    const api = await this.#supervisorIfRunning();
    return api === undefined ? [] : call(async () => (await api.rpc.stats({})).usages.map((usage) => fromStruct<ReplicaUsage>(usage)));
  }

  async wait(services: readonly string[], signal?: AbortSignal): Promise<number> {
    const api = await this.#supervisorIfRunning();
    if (api === undefined) {
      const ended = this.#store.vms(this.name).find((vm) => services.length === 0 || services.includes(vm.service));
      if (ended === undefined) {
        throw new HyprError('STACK_NOT_RUNNING', `no containers for project "${this.name}"`);
      }
      return ended.exitCode;
    }
    return call(async () => (await api.rpc.wait({ services: [...services] }, callOptions(signal))).exitCode, signal);
  }

  async close(): Promise<void> {
    this.#api?.close();
    this.#opened?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #operation(start: () => AsyncIterable<Event>, onEvent: OnEvent, signal: AbortSignal | undefined): Promise<void> {
    try {
      for await (const message of start()) {
        onEvent(eventFrom(message));
      }
    } catch (error) {
      throw fromConnectError(error, signal);
    }
  }

  /** The supervisor, started if there is none. Says what a new one found and put right. */
  async #supervisor(onEvent: OnEvent, signal?: AbortSignal): Promise<ApiClient> {
    // An attached `up` asks for events and for `up` at the same moment: one start for both.
    this.#starting ??= this.#connectOrStart(signal).finally(() => {
      this.#starting = undefined;
    });
    const api = this.#api ?? (await this.#starting);
    for (const message of this.#recovered) {
      onEvent({ type: 'warning', time: Date.now(), message });
    }
    this.#recovered = [];
    return api;
  }

  async #connectOrStart(signal?: AbortSignal): Promise<ApiClient> {
    return (await this.#connect()) ?? this.#start(signal);
  }

  async #running(service: string): Promise<ApiClient> {
    const api = await this.#supervisorIfRunning();
    if (api === undefined) {
      throw new HyprError('STACK_NOT_RUNNING', `service "${service}" is not running`, { hint: 'start it: hypr compose up -d' });
    }
    return api;
  }

  /** The supervisor when something runs; one that was killed while machines run is replaced. */
  async #supervisorIfRunning(): Promise<ApiClient | undefined> {
    const api = this.#api ?? (await this.#connect());
    if (api !== undefined) {
      return api;
    }
    const orphaned = this.#store.vms(this.name).some((vm) => hasMachine(vm.state) || vm.state === 'restarting');
    if (!orphaned) {
      return undefined;
    }
    const started = await this.#start();
    this.#recovered.forEach(this.#onNotice);
    this.#recovered = [];
    return started;
  }

  async #connect(): Promise<ApiClient | undefined> {
    // A socket that nobody listens on refuses at once.
    const api = connectApi(stackPaths(this.name).apiSocket);
    try {
      const { pid } = await api.rpc.info({}, { timeoutMs: 10_000 });
      this.#pid = pid;
      this.#api = api;
      return api;
    } catch {
      api.close();
      return undefined;
    }
  }

  async #start(signal?: AbortSignal): Promise<ApiClient> {
    const deadline = Date.now() + LOCKED_FOR_MS;
    for (;;) {
      try {
        this.#recovered = await startSupervisor(this.name, this.#paths, signal);
      } catch (error) {
        // Another command started one at the same moment, or the last one is just ending.
        if (!(error instanceof HyprError && error.code === 'HYPR_LOCKED') || Date.now() > deadline) {
          throw error;
        }
        await sleep(100, signal);
      }
      const api = await this.#connect();
      if (api !== undefined) {
        return api;
      }
      if (Date.now() > deadline) {
        throw new HyprError('SUPERVISOR_FAILED', `the supervisor of ${this.name} started but does not answer`);
      }
    }
  }
}

const LOCKED_FOR_MS = 15_000;

/**
 * `down` leaves no process behind, so it waits for the supervisor's last steps; in vain when somebody else is
 * connected. Node has no event for the end of a process that is not its child.
 */
const awaitEnd = async (pid: number): Promise<void> => {
  const supervisor = pid === process.pid ? undefined : identifyProcess(pid);
  for (const deadline = Date.now() + ENDING_MS; supervisor !== undefined && isAlive(supervisor) && Date.now() < deadline; ) {
    await sleep(5);
  }
};

const ENDING_MS = 1_000;

const callOptions = (signal: AbortSignal | undefined) => (signal ? { signal } : {});

const call = async <T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    throw fromConnectError(error, signal);
  }
};

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

const definedOnly = <T extends Record<string, unknown>>(values: T): Defined<T> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<T>;
