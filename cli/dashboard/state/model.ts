import type { Progress } from '../../../base/progress.ts';
import type { EngineEvent, Refusal, ReplicaStatus, ReplicaUsage } from '../../../engine/model/events.ts';
import { BuildLog } from '../../render/build-log.ts';
import { LogBuffer } from '../logs/log-buffer.ts';
import type { LogView } from '../logs/log-view.ts';
import { buildLines } from './build-lines.ts';
import { Exits } from './exits.ts';
import { createKeyTable, type KeyTable } from './key-table.ts';
import { type PlannedService, plannedReplica } from './plan.ts';
import { RateMeter } from './rate-meter.ts';
import { INITIAL_UI, type UiState } from './ui-state.ts';

export interface ModelOptions {
  readonly stack: string;
  readonly now: () => number;
  /** The user's keys and choices; else the standard ones. */
  readonly keys?: KeyTable;
  readonly ui?: Partial<UiState>;
  /** Calls `work` after so many milliseconds; returns a function that cancels it. */
  readonly schedule?: (work: () => void, ms: number) => () => void;
}

interface Operation {
  readonly name: string;
  readonly since: number;
}

export const FRAME_MS = 33;
export const FLOOD_FRAME_MS = 100;
/** Lines per second above which frames are drawn less often. */
export const FLOOD = 2000;
const SAMPLES = 16;

/**
 * The state of the dashboard, outside React. Accepts events at any rate and notifies its listeners
 * at most every 33 ms, or every 100 ms during a flood of log lines.
 */
export class DashboardModel {
  readonly stack: string;
  readonly logs = new LogBuffer();
  readonly now: () => number;
  readonly replicas = new Map<string, ReplicaStatus>();
  readonly usage = new Map<string, ReplicaUsage>();
  /** CPU percent of the last samples, oldest first. */
  readonly cpu = new Map<string, number[]>();
  /** The last of each replica; it knows how many there were. */
  readonly refusals = new Map<string, Refusal>();
  /** Service → the URL of its name. */
  urls: ReadonlyMap<string, string> = new Map();
  readonly progress = new Map<string, Progress>();
  /** Of what is being pulled: bytes of each part, by the id of the whole. */
  readonly parts = new Map<string, Map<string, Progress>>();
  /** The steps of each service's build. */
  readonly builds = new Map<string, BuildLog>();
  /** How the runs of replicas ended. */
  readonly exits = new Exits();
  /** What is to run, by service. */
  plan: readonly PlannedService[] = [];
  isWatching = false;
  ui: UiState;
  readonly keys: KeyTable;
  /** Those under way: keys begin further ones before the first has ended. */
  readonly #operations: Operation[] = [];
  readonly #schedule: (work: () => void, ms: number) => () => void;
  readonly #listeners = new Set<() => void>();
  readonly #rate: RateMeter;
  #version = 0;
  #cancel: (() => void) | undefined;

  constructor(options: ModelOptions) {
    this.stack = options.stack;
    this.now = options.now;
    this.keys = options.keys ?? createKeyTable();
    this.ui = { ...INITIAL_UI, ...options.ui };
    this.#rate = new RateMeter(options.now);
    this.#schedule = options.schedule ?? scheduleTimer;
  }

  /** The operation under way, such as `up`; of several the one that began last. */
  get operation(): string | undefined {
    return this.#operations.at(-1)?.name;
  }

  get operationSince(): number {
    return this.#operations.at(-1)?.since ?? 0;
  }

  /** When the first of those under way began, in milliseconds since the epoch; undefined when there is none. */
  get busySince(): number | undefined {
    return this.#operations[0]?.since;
  }

  /** All operations under way, in the order in which they began. */
  get operations(): string[] {
    return this.#operations.map(({ name }) => name);
  }

  /** Log lines per second, of the last full second. */
  get rate(): number {
    return this.#rate.perSecond;
  }

  /** All replicas, and those of the plan that do not exist yet. */
  get sorted(): ReplicaStatus[] {
    const planned = this.plan.flatMap(({ service, replicas }) =>
      replicas.filter((name) => !this.replicas.has(name)).map((name, index) => plannedReplica({ name, service, number: index + 1 })),
    );
    return [...this.replicas.values(), ...planned].sort((a, b) => a.service.localeCompare(b.service) || a.number - b.number);
  }

  /** The replica under the cursor. */
  get current(): ReplicaStatus | undefined {
    const { sorted } = this;
    return sorted.find((replica) => replica.name === this.ui.cursor) ?? sorted[0];
  }

  get view(): LogView {
    const { chosen, showAll, filter, anchor, clearedTo } = this.ui;
    const { current } = this;
    const replicas = chosen.size > 0 ? chosen : showAll || current === undefined ? undefined : new Set([current.name]);
    return { replicas, filter, anchor, after: clearedTo };
  }

  // Both are bound: React calls them without the object.
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  readonly getVersion = (): number => this.#version;

  apply(event: EngineEvent): void {
    switch (event.type) {
      case 'log':
        this.#rate.count();
        this.logs.append(event.record);
        break;
      case 'replica':
        this.#applyReplica(event);
        break;
      case 'usage':
        this.#applyUsage(event.usage);
        break;
      case 'progress':
        this.#applyProgress(event.progress);
        break;
      case 'build':
        this.#applyBuild(event);
        break;
      case 'warning':
        this.change({ message: event.message });
        // The last row has no room for long ones, and the next message takes it.
        this.note(`warning: ${event.message}`, 'warning');
        break;
      case 'refusal':
        this.refusals.set(event.refusal.replica, event.refusal);
        break;
      case 'error':
        this.change({ message: event.error.message });
        break;
      case 'finished':
        break;
    }
    this.touch();
  }

  setUrls(urls: ReadonlyMap<string, string>): void {
    this.urls = urls;
    this.change({});
  }

  change(part: Partial<UiState>): void {
    this.ui = { ...this.ui, ...part };
    this.touch();
  }

  /** A line of hypr's own between those of programs. */
  note(line: string, kind: 'event' | 'warning' = 'event'): void {
    this.logs.note({ time: this.now(), replica: '', line, kind });
    this.touch();
  }

  setWatching(on: boolean): void {
    this.isWatching = on;
    this.touch();
  }

  /** Returns what ends it. */
  beginOperation(name: string): () => void {
    const operation = { name, since: this.now() };
    if (this.#operations.length === 0) {
      this.progress.clear();
      this.parts.clear();
    }
    this.#operations.push(operation);
    this.touch();
    return () => {
      const index = this.#operations.indexOf(operation);
      if (index >= 0) {
        this.#operations.splice(index, 1);
        this.touch();
      }
    };
  }

  /** Notifies the listeners with the next frame. */
  touch(): void {
    this.#cancel ??= this.#schedule(
      () => {
        this.#cancel = undefined;
        this.#version += 1;
        for (const listener of this.#listeners) {
          listener();
        }
      },
      this.rate > FLOOD ? FLOOD_FRAME_MS : FRAME_MS,
    );
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#listeners.clear();
  }

  #applyReplica({ replica, gone, action, time }: Extract<EngineEvent, { type: 'replica' }>): void {
    if (gone === true) {
      this.replicas.delete(replica.name);
      this.refusals.delete(replica.name);
      this.#forgetUsage(replica.name);
      this.exits.forget(replica.name);
    } else if (!replica.oneOff) {
      this.replicas.set(replica.name, replica);
      if (replica.state !== 'running' && replica.state !== 'paused') {
        this.#forgetUsage(replica.name);
      }
      const line = this.exits.see(replica, action);
      if (line !== undefined) {
        this.logs.note({ time, replica: replica.name, line, kind: 'event' });
      }
    }
  }

  #applyUsage(usage: ReplicaUsage): void {
    // A sample may come after the end of what it measured.
    if (this.replicas.get(usage.replica)?.state === 'running') {
      this.usage.set(usage.replica, usage);
      this.cpu.set(usage.replica, [...(this.cpu.get(usage.replica) ?? []), usage.cpu].slice(-SAMPLES));
    }
  }

  #forgetUsage(name: string): void {
    this.usage.delete(name);
    this.cpu.delete(name);
  }

  #applyProgress(progress: Progress): void {
    if (progress.parentId === undefined) {
      this.progress.set(progress.id, progress);
    } else {
      const parts = this.parts.get(progress.parentId) ?? new Map<string, Progress>();
      this.parts.set(progress.parentId, parts.set(progress.id, progress));
    }
  }

  /** The output of a build stands in the log of its service, whose first replica may not exist yet. */
  #applyBuild({ service, event, time }: Extract<EngineEvent, { type: 'build' }>): void {
    const build = this.builds.get(service) ?? new BuildLog();
    this.builds.set(service, build);
    build.record('', event);
    const replica = this.plan.find((planned) => planned.service === service)?.replicas[0] ?? `${this.stack}-${service}-1`;
    for (const line of buildLines(event)) {
      this.logs.note({ time, replica, line, kind: 'build' });
    }
  }
}

const scheduleTimer = (work: () => void, ms: number): (() => void) => {
  const timer = setTimeout(work, ms);
  return () => clearTimeout(timer);
};
