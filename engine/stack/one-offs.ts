import { neverAborts } from '../../base/abort.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { Project } from '../../compose/model/model.ts';
import type { RunOptions } from '../model/types.ts';
import { type HookContext, runPostStart } from '../replica/hooks.ts';
import { hasLeft } from '../replica/parts/status.ts';
import type { Replica } from '../replica/replica.ts';
import { describeOneOff, type OneOff, refuseTakenName } from '../resolve/one-off.ts';

const log = logger('one-offs');

/** What one-offs need from their stack. */
export interface OneOffStack extends HookContext {
  readonly replicas: Map<string, Replica>;
  /** Executes a plan that contains the one-off, which is then booted but not started. */
  readonly bringUp: (project: Project, oneOff: OneOff, signal: AbortSignal) => Promise<void>;
  /** Keeps the supervisor from ending meanwhile. */
  readonly busy: (work: () => Promise<void>) => Promise<void>;
  /** Forgets a stack that has no replicas. */
  readonly forget: () => Promise<void>;
}

/** The replicas of `compose run`: created, started once a client is attached, and removed afterwards with --rm. */
export class OneOffs {
  readonly #stack: OneOffStack;
  /** Booted one-offs whose client is about to start them. */
  readonly #promised = new Set<string>();
  readonly #removals = new Map<string, Promise<void>>();

  constructor(stack: OneOffStack) {
    this.#stack = stack;
  }

  /** Whether a client is about to start it; if not, its waiting machine is a leftover of a plan. */
  isPromised(name: string): boolean {
    return this.#promised.has(name);
  }

  /**
   * Brings up what a one-off depends on and boots its machine meanwhile. `start` starts the workload, once a client is
   * attached. After a failure nothing of the one-off is left.
   */
  async create(project: Project, options: RunOptions, signal: AbortSignal): Promise<Replica> {
    const oneOff = describeOneOff(project, options);
    const { name } = oneOff;
    // One that waits for its turn has the name already.
    refuseTakenName(name, { has: (each) => this.#stack.replicas.has(each) || this.#promised.has(each) });
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

  /** Starts what `create` made, and removes it when its client has gone. */
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

  /**
   * Runs the `post_start` hooks of what `start` started, beside its workload; they go on without the client. Throws SERVICE_FAILED
   * for the first that fails, also because the workload ended before it did.
   */
  runHooks(replica: Replica): Promise<void> {
    return runPostStart(replica, this.#stack, neverAborts());
  }

  /** `--rm`: removes the replica, and a stack that was made for it with its last replica. Never rejects; concurrent calls share one removal. */
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
      await replica.remove('remove');
      replicas.delete(name);
      if (spec.autoRemove !== 'replica' && replicas.size === 0) {
        await forget();
      }
    } catch (error) {
      log.warn('a one-off was not removed', { replica: name, error: messageOf(error) });
    }
  }

  /** Removes one-offs that ended, or were never started, while no supervisor ran. */
  async removeLeft(): Promise<void> {
    for (const { row } of [...this.#stack.replicas.values()]) {
      if (row.state === 'created' ? row.spec.autoRemove !== undefined && row.spec.autoRemove !== 'ended' : hasLeft(row)) {
        await this.remove(row.name);
      }
    }
  }
}
