import type { Progress } from '../../base/progress.ts';
import type { EngineEvent, Refusal, ReplicaStatus, ReplicaUsage } from '../../engine/model/events.ts';
import { LogBuffer } from './log-buffer.ts';
import type { LogFilter, LogView } from './log-view.ts';

export type Mode = 'normal' | 'search' | 'filter' | 'help' | 'quit';

/** The user's choices; everything else is state of the stack. */
export interface UiState {
  readonly mode: Mode;
  readonly focus: 'list' | 'logs';
  /** Name of the replica the cursor was moved to; until then it is on the first. */
  readonly cursor: string | undefined;
  /** Replicas whose logs are shown together; empty: all, or the one under the cursor. */
  readonly chosen: ReadonlySet<string>;
  readonly showAll: boolean;
  readonly anchor: number | undefined;
  readonly clearedTo: number;
  readonly wrap: boolean;
  readonly timestamps: boolean;
  readonly search: string;
  readonly filter: LogFilter | undefined;
  /** Text being typed in `search` and `filter`. */
  readonly input: string;
  readonly message: string;
}

export interface ModelOptions {
  readonly stack: string;
  readonly now: () => number;
  /** Calls `work` after so many milliseconds; returns a function that cancels it. */
  readonly schedule?: (work: () => void, ms: number) => () => void;
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
  /** The operation under way, such as `up`. */
  operation: string | undefined;
  ui: UiState = {
    mode: 'normal',
    focus: 'list',
    cursor: undefined,
    chosen: new Set(),
    showAll: true,
    anchor: undefined,
    clearedTo: 0,
    wrap: false,
    timestamps: false,
    search: '',
    filter: undefined,
    input: '',
    message: '',
  };
  readonly #schedule: (work: () => void, ms: number) => () => void;
  readonly #listeners = new Set<() => void>();
  readonly #rate: RateMeter;
  #version = 0;
  #cancel: (() => void) | undefined;

  constructor(options: ModelOptions) {
    this.stack = options.stack;
    this.now = options.now;
    this.#rate = new RateMeter(options.now);
    this.#schedule = options.schedule ?? scheduleTimer;
  }

  /** Log lines per second, of the last full second. */
  get rate(): number {
    return this.#rate.perSecond;
  }

  get sorted(): ReplicaStatus[] {
    return [...this.replicas.values()].sort((a, b) => a.service.localeCompare(b.service) || a.number - b.number);
  }

  /** The replica under the cursor. */
  get current(): ReplicaStatus | undefined {
    return this.replicas.get(this.ui.cursor ?? '') ?? this.sorted[0];
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
        this.#applyReplica(event.replica, event.gone === true);
        break;
      case 'usage':
        this.usage.set(event.usage.replica, event.usage);
        this.cpu.set(event.usage.replica, [...(this.cpu.get(event.usage.replica) ?? []), event.usage.cpu].slice(-SAMPLES));
        break;
      case 'progress':
        if (event.progress.parentId === undefined) {
          this.progress.set(event.progress.id, event.progress);
        }
        break;
      case 'warning':
        this.change({ message: event.message });
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

  beginOperation(name: string): void {
    this.operation = name;
    this.progress.clear();
    this.touch();
  }

  endOperation(): void {
    this.operation = undefined;
    this.touch();
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

  #applyReplica(replica: ReplicaStatus, gone: boolean): void {
    if (gone) {
      this.replicas.delete(replica.name);
      this.usage.delete(replica.name);
      this.refusals.delete(replica.name);
    } else if (!replica.oneOff) {
      this.replicas.set(replica.name, replica);
    }
  }
}

/** Counts by whole seconds of the clock. */
class RateMeter {
  readonly #now: () => number;
  #second = 0;
  #count = 0;
  #last = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  get perSecond(): number {
    this.#turn();
    return Math.max(this.#last, this.#count);
  }

  count(): void {
    this.#turn();
    this.#count += 1;
  }

  #turn(): void {
    const second = Math.trunc(this.#now() / 1000);
    if (second !== this.#second) {
      this.#last = second === this.#second + 1 ? this.#count : 0;
      this.#second = second;
      this.#count = 0;
    }
  }
}

const scheduleTimer = (work: () => void, ms: number): (() => void) => {
  const timer = setTimeout(work, ms);
  return () => clearTimeout(timer);
};
