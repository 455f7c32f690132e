import type { ReplicaState, ReplicaStatus } from '../../../engine/model/events.ts';

export interface ExitRules {
  readonly abortOn: 'exit' | 'failure' | 'never';
  /** Service whose exit code is the command's. */
  readonly codeFrom: string | undefined;
}

export interface SeenExit {
  readonly code: number;
  readonly restarting: boolean;
  /** The stack is to be stopped now. */
  readonly abort: boolean;
}

interface Seen {
  readonly replica: ReplicaStatus;
  readonly told: boolean;
}

const LIVE: ReadonlySet<ReplicaState> = new Set(['starting', 'running', 'paused', 'stopping']);

/** Follows replicas by their snapshots: who ended, with what code, and what that means for `up`. */
export class ExitWatch {
  readonly #rules: ExitRules;
  readonly #seen = new Map<string, Seen>();
  readonly #expected = new Set<string>();
  #first: number | undefined;
  #fromService: number | undefined;

  constructor(rules: ExitRules) {
    this.#rules = rules;
  }

  /** The exit code of `up`: of `--exit-code-from`, else of the end that aborted, else 0. */
  get code(): number {
    return (this.#rules.codeFrom === undefined ? this.#first : this.#fromService) ?? 0;
  }

  /** A replica that exists, though no event told of it yet: it has not ended until an event says so. */
  expect(name: string): void {
    this.#expected.add(name);
  }

  /** Takes in a snapshot; gives the end that it tells of, once per end. */
  see(replica: ReplicaStatus, event: { readonly gone: boolean; readonly died: boolean }): SeenExit | undefined {
    const before = this.#seen.get(replica.name);
    if (event.gone) {
      this.#seen.delete(replica.name);
      this.#expected.delete(replica.name);
      return undefined;
    }
    const ended = !LIVE.has(replica.state) && replica.state !== 'created';
    const wasLive = before !== undefined && LIVE.has(before.replica.state);
    const tell = ended && (event.died || wasLive) && !(before?.told && !wasLive);
    this.#seen.set(replica.name, { replica, told: tell || (before?.told === true && !LIVE.has(replica.state)) });
    return tell ? this.#record(replica) : undefined;
  }

  /** Whether all replicas of the services, seen and expected, have ended for good. */
  allEnded(services: ReadonlySet<string>): boolean {
    const ended = this.#of(services).every((replica) => replica.state === 'exited' || replica.state === 'dead');
    return ended && [...this.#expected].every((name) => this.#seen.has(name));
  }

  names(services: ReadonlySet<string>): string[] {
    return this.#of(services)
      .map((replica) => replica.name)
      .sort();
  }

  #of(services: ReadonlySet<string>): ReplicaStatus[] {
    return [...this.#seen.values()].map((seen) => seen.replica).filter((replica) => services.has(replica.service) && !replica.oneOff);
  }

  #record(replica: ReplicaStatus): SeenExit {
    const restarting = replica.state === 'restarting';
    const { abortOn, codeFrom } = this.#rules;
    const counts = abortOn === 'exit' || (abortOn === 'failure' && replica.exitCode !== 0);
    const abort = !restarting && counts;
    if (abort) {
      this.#first ??= replica.exitCode;
    }
    if (replica.service === codeFrom && !restarting) {
      this.#fromService ??= replica.exitCode;
    }
    return { code: replica.exitCode, restarting, abort };
  }
}
