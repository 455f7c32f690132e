import type { ErrorJson } from '../../base/errors.ts';
import type { Progress } from '../../base/progress.ts';
import type { BuildEvent } from '../../builder/model/types.ts';

/**
 * States of a replica; engine/model/lifecycle.ts has the transitions. The names are docker's, except `suspended` (the
 * machine is saved on disk).
 */
export type ReplicaState = 'created' | 'starting' | 'running' | 'paused' | 'suspended' | 'restarting' | 'stopping' | 'exited' | 'dead';
export type Health = 'none' | 'starting' | 'healthy' | 'unhealthy';

/** One replica as `ps` shows it. Times are milliseconds since the epoch. */
export interface ReplicaStatus {
  /** 64 hex digits. */
  readonly id: string;
  /** shop-db-1 */
  readonly name: string;
  readonly service: string;
  readonly number: number;
  readonly oneOff: boolean;
  readonly image: string;
  readonly imageId: string;
  readonly command: readonly string[];
  readonly state: ReplicaState;
  readonly health: Health;
  readonly exitCode: number;
  /** Why it is in this state, when that is not obvious: the last probe output, the last console line. */
  readonly reason?: string;
  /** The kernel's OOM killer ended the workload. */
  readonly oomKilled?: true;
  readonly restarts: number;
  readonly createdAt: number;
  readonly startedAt?: number;
  readonly finishedAt?: number;
  readonly addresses: ReadonlyArray<{ readonly network: string; readonly address: string; readonly mac: string }>;
  readonly ports: ReadonlyArray<{
    readonly protocol: 'tcp' | 'udp';
    readonly hostAddress: string;
    readonly hostPort: number;
    readonly port: number;
  }>;
  /** Ports of the image or `expose:` that are not published. */
  readonly exposed: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly mounts: readonly string[];
  readonly volumes: readonly string[];
  /** Milliseconds from the machine's start to the agent's first answer, for the dashboard. */
  readonly bootMs?: number;
  /** The steps of its last start, in the order in which they ended; `healthy` counts from the start of the workload. */
  readonly startSpans?: readonly StartSpan[];
  /** By port. Absent when nothing listens, or nothing is known because no supervisor watches. */
  readonly listeners?: readonly Listener[];
  readonly stall?: Stall;
}

/**
 * Why a machine that runs does nothing at the moment. `full`: the host's disk is full, and it is held until there is space;
 * `silent`: its agent does not answer.
 */
export interface Stall {
  readonly kind: 'full' | 'silent';
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** A TCP port that a program of the replica listens on. */
export interface Listener {
  readonly port: number;
  /** `0.0.0.0`, `::` or one of the replica's own; on `127.0.0.1` nothing outside the replica reaches it. */
  readonly address: string;
}

export interface StartSpan {
  readonly name: string;
  readonly ms: number;
}

export interface LogRecord {
  readonly time: number;
  readonly stream: 'stdout' | 'stderr';
  readonly replica: string;
  readonly service: string;
  /** One line without its newline, exactly as the program wrote it: sanitise it before showing it. */
  readonly line: string;
  /**
   * The run that wrote the line: a run of the workload, or of a program beside it. Each run has its own number. Absent
   * in older log files.
   */
  readonly run?: number;
  /** Bytes that the run had written to this stream by the end of the line. Grows from line to line. */
  readonly seq?: number;
}

export interface ReplicaUsage {
  readonly replica: string;
  /** Percent of one CPU. */
  readonly cpu: number;
  readonly memory: number;
  readonly memoryLimit: number;
  /** Host memory of the whole machine (PSS). */
  readonly hostMemory: number;
  readonly netRx: number;
  readonly netTx: number;
  readonly blockRead: number;
  readonly blockWrite: number;
  readonly pids: number;
}

/** What of a replica was not let through, by its rules or by those of its network. */
export interface Refusal {
  readonly replica: string;
  readonly service: string;
  /** egress: where it may connect to outside; policy: between services; rate: too much in too short a time. */
  readonly rule: RefusalRule;
  /** tcp, udp, icmp, or dns for a name that was asked for. */
  readonly protocol: string;
  /** Address and port. Absent when there is only a name, and when many destinations are told of together. */
  readonly to?: string;
  /** A name that the destination is known by. */
  readonly name?: string;
  /** How many since such a refusal was last told. */
  readonly count: number;
  /** All refusals of the replica under this supervisor. */
  readonly total: number;
}

export type RefusalRule = 'egress' | 'policy' | 'rate';

/** Everything that happens in a stack; the only thing that user interfaces consume. */
export type EngineEvent =
  | { readonly type: 'progress'; readonly time: number; readonly progress: Progress }
  /** A snapshot after any change of a replica; `gone` when it was removed. */
  | {
      readonly type: 'replica';
      readonly time: number;
      readonly action: ReplicaAction;
      readonly replica: ReplicaStatus;
      readonly gone?: boolean;
    }
  | { readonly type: 'log'; readonly time: number; readonly record: LogRecord }
  | { readonly type: 'build'; readonly time: number; readonly service: string; readonly event: BuildEvent }
  | { readonly type: 'usage'; readonly time: number; readonly usage: ReplicaUsage }
  | { readonly type: 'warning'; readonly time: number; readonly message: string }
  /** Told at once, and then at most once a minute for each destination. */
  | { readonly type: 'refusal'; readonly time: number; readonly refusal: Refusal }
  | { readonly type: 'error'; readonly time: number; readonly error: ErrorJson }
  /** An operation (up, down, stop…) ended. */
  | { readonly type: 'finished'; readonly time: number; readonly operation: string; readonly error?: ErrorJson };

/** What happened to a machine, an image, a network or a volume, as the home's record has it. */
export interface RecordedEvent {
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly type: 'container' | 'image' | 'network' | 'volume';
  /** docker's word for it, such as `die` or `health_status: healthy`. */
  readonly action: string;
  readonly id: string;
  /** docker's; of machines their labels, too. */
  readonly attributes: Readonly<Record<string, string>>;
  /** Of a machine; else, and of what docker's API did, empty. */
  readonly stack: string;
  readonly service: string;
}

/** docker's event actions. */
export type ReplicaAction =
  | 'create'
  | 'start'
  | 'die'
  | 'stop'
  | 'kill'
  | 'restart'
  | 'pause'
  | 'unpause'
  | 'suspend'
  | 'resume'
  | 'destroy'
  | 'health_status'
  | 'oom'
  | 'exec'
  | 'listening'
  | 'update';
