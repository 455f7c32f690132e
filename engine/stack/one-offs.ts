import { HyprError, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { Project } from '../../compose/model/model.ts';
import type { RunOptions } from '../model/types.ts';
import type { Replica } from '../replica/replica.ts';
import { hasLeft } from '../replica/status.ts';
import { describeOneOff, type OneOff, refuseTakenName } from '../resolve/one-off.ts';

const log = logger('one-offs');

/** What one-offs need of the stack they are in. */
export interface OneOffStack {
  readonly replicas: Map<string, Replica>;
  /** Carries out the plan with the one-off in it: booted, not started. */
  readonly bringUp: (project: Project, oneOff: OneOff, signal: AbortSignal) => Promise<void>;
  /** Keeps the supervisor from ending meanwhile. */
  readonly busy: (work: () => Promise<void>) => Promise<void>;
  /** Forgets a stack that has no replicas. */
  readonly forget: () => Promise<void>;
}

/** The replicas of `run`: made, started by whoever attached to them, removed when that was asked for. */
export class OneOffs {
  readonly #stack: OneOffStack;
  /** Those that wait for who asked for them, and start then. */
  readonly #promised = new Set<string>();
  readonly #removals = new Map<string, Promise<void>>();

  constructor(stack: OneOffStack) {
    this.#stack = stack;
  }

  /** Somebody is about to start it: a machine that waits is no leftover of a plan. */
  isPromised(name: string): boolean {
    return this.#promised.has(name);
  }

  /**
   * Brings up what a one-off needs, and boots it beside; its workload starts by `start`, once somebody is
   * attached. What fails leaves no trace of it.
   */
  async create(project: Project, options: RunOptions, signal: AbortSignal): Promise<Replica> {
    const oneOff = describeOneOff(project, options);
    const { name } = oneOff;
    refuseTakenName(name, this.#stack.replicas);
    this.#promised.add(name);
    try {
      await this.#stack.bringUp(project, oneOff, signal);
      const replica = this.#stack.replicas.get(name);
      if (replica === undefined) {
        throw new HyprError('HYPR_CANCELLED', `${name} was removed before it could start`);
      }
      return replica;
    } catch (error) {
      this.#promised.delete(name);
      await this.remove(name);
      throw error;
    }
  }

  /** Starts what `create` made; takes it back when nobody waits for it any more. */
  async start(replica: Replica, signal: AbortSignal): Promise<void> {
    const { name } = replica.row;
    try {
      await replica.start(signal);
    } catch (error) {
      if (signal.aborted) {
        await this.remove(name);
      }
      throw error;
    } finally {
      this.#promised.delete(name);
    }
  }

  /** `--rm`: a replica goes, and with the last one of a stack that was made for it the stack. Never rejects; once, whoever asks. */
  async remove(name: string): Promise<void> {
    const replica = this.#stack.replicas.get(name);
    if (replica === undefined) {
      return;
    }
    const removal = this.#removals.get(name) ?? this.#stack.busy(() => this.#remove(replica));
    this.#removals.set(name, removal);
    await removal;
    this.#removals.delete(name);
  }

  async #remove(replica: Replica): Promise<void> {
    const { replicas, forget } = this.#stack;
    const { name, spec } = replica.row;
    try {
      await replica.stop({ graceMs: 0, byUser: true });
      await replica.remove({ keepVolumes: false });
      replicas.delete(name);
      if (spec.autoRemove === 'stack' && replicas.size === 0) {
        await forget();
      }
    } catch (error) {
      log.warn('a one-off was not removed', { replica: name, error: messageOf(error) });
    }
  }

  /** Those that ended, or never started, while no supervisor was there to remove them. */
  async removeLeft(): Promise<void> {
    for (const { row } of [...this.#stack.replicas.values()]) {
      if (row.state === 'created' ? row.spec.autoRemove !== undefined : hasLeft(row)) {
        await this.remove(row.name);
      }
    }
  }
}
