import type { ReplicaAction, ReplicaStatus } from '../../../engine/model/events.ts';

/** A replica that runs longer than this has come out of a crash loop, as the restart policy sees it (engine/replica/restart-policy.ts). */
const CALM_MS = 10_000;

/** Remembers how the last run of each replica ended, which its state no longer says once it is started again. */
export class Exits {
  readonly #codes = new Map<string, number>();

  /** Takes in a snapshot; gives the line that tells of an end. */
  see(replica: ReplicaStatus, action: ReplicaAction): string | undefined {
    const isOver = replica.state === 'exited' || replica.state === 'restarting' || replica.state === 'dead';
    if (isOver) {
      this.#codes.set(replica.name, replica.exitCode);
    }
    if (action !== 'die' || !isOver) {
      return undefined;
    }
    const why = replica.reason === undefined ? '' : `: ${replica.reason}`;
    return `exited with code ${replica.exitCode}${why}${replica.state === 'restarting' ? ' (restarting)' : ''}`;
  }

  forget(name: string): void {
    this.#codes.delete(name);
  }

  /** The exit code of the last run that has ended; undefined where none was seen. */
  codeOf(name: string): number | undefined {
    return this.#codes.get(name);
  }

  /** It ends again and again with an error. */
  isLooping(replica: ReplicaStatus, now: number): boolean {
    if (replica.restarts === 0 || this.#codes.get(replica.name) === 0) {
      return false;
    }
    switch (replica.state) {
      case 'restarting':
      case 'starting':
        return true;
      case 'running':
        return now - (replica.startedAt ?? now) < CALM_MS;
      default:
        return false;
    }
  }
}
