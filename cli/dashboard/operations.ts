import { HyprError, isAbort, messageOf } from '../../base/errors.ts';
import type { EngineEvent } from '../../engine/model/events.ts';
import { UP_DEFAULTS, VERB_DEFAULTS } from '../../engine/model/option-defaults.ts';
import type { ServiceVerb, UpOptions } from '../../engine/model/types.ts';
import type { AttachedUp } from '../session/attached-up.ts';
import { askWhy } from '../session/why.ts';
import type { DashboardModel } from './state/model.ts';
import { eventsSoFar } from './state/so-far.ts';

/** Operations that were under way when the dashboard was left, and go on without it. */
export interface Unfinished {
  /** In the order in which they began. */
  readonly names: readonly string[];
  /** Calls `onEvent` with how far they are, and with what comes from now on. */
  follow(onEvent: (event: EngineEvent) => void): void;
  /** Settles when all have ended; rejects if one failed, with the error of the one that began first. What the others failed with is told as a warning. */
  readonly done: Promise<void>;
  callOff(reason: Error): void;
}

/**
 * What keys of the dashboard do to the stack. None of it ends the dashboard: what failed is told in its last row. What changes the stack
 * goes on when `signal` says that the dashboard is over, until it is called off.
 */
export class Operations {
  readonly #up: AttachedUp;
  readonly #model: DashboardModel;
  readonly #signal: AbortSignal;
  readonly #work = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #follower: ((event: EngineEvent) => void) | undefined;
  #watching: AbortController | undefined;

  constructor(up: AttachedUp, model: DashboardModel, signal: AbortSignal) {
    this.#up = up;
    this.#model = model;
    this.#signal = signal;
  }

  /** The `up` that the dashboard was opened for. */
  up(): Promise<void> {
    const { stack, project, options } = this.#up;
    if (this.#refuses()) {
      return Promise.resolve();
    }
    return this.#operate('up', () => stack.up(project, options, this.#see, this.#work.signal));
  }

  callOff(reason: Error): void {
    this.#work.abort(reason);
  }

  /** What is under way; undefined if that is nothing. */
  get unfinished(): Unfinished | undefined {
    const names = this.#model.operations;
    if (names.length === 0) {
      return undefined;
    }
    const done = Promise.allSettled(this.#running).then((ends) => {
      const [failed, ...others] = ends.filter((end) => end.status === 'rejected');
      for (const { reason } of others) {
        this.#see({ type: 'warning', time: this.#model.now(), message: messageOf(reason) });
      }
      if (failed !== undefined) {
        throw failed.reason;
      }
    });
    // Whoever takes it may come to it later than its failure.
    done.catch(() => {});
    return {
      names,
      done,
      callOff: (reason) => this.callOff(reason),
      follow: (onEvent) => {
        for (const event of eventsSoFar(this.#model)) {
          onEvent(event);
        }
        this.#follower = onEvent;
      },
    };
  }

  verb(verb: ServiceVerb, service: string): Promise<void> {
    const { stack, project } = this.#up;
    return this.#tell(service, verb, () =>
      stack.verb(verb, project, { ...VERB_DEFAULTS, services: [service] }, this.#see, this.#work.signal),
    );
  }

  rebuild(service: string): Promise<void> {
    const { project } = this.#up;
    if (this.#refuses()) {
      return Promise.resolve();
    }
    if (project.services[service]?.build === undefined) {
      this.#model.change({ message: `${service} has no build: in the Compose file; r restarts it` });
      return Promise.resolve();
    }
    this.#model.builds.delete(service);
    return this.#change(service, 'rebuild', { build: true });
  }

  scale(service: string, count: number): Promise<void> {
    if (this.#refuses()) {
      return Promise.resolve();
    }
    return this.#change(service, `scale to ${count}`, { scale: { [service]: count }, noRecreate: true });
  }

  async why(service: string): Promise<void> {
    const { stack, project, invocation } = this.#up;
    try {
      const page = await askWhy({ stack, project, now: invocation.context.now() }, service, this.#signal);
      this.#model.change({ mode: 'why', page, pageTop: 0 });
    } catch (error) {
      this.#model.change({ message: `${service}: ${messageOf(error)}` });
    }
  }

  /** Watches files until it is called again. */
  async watch(): Promise<void> {
    if (this.#watching !== undefined) {
      this.#watching.abort(new HyprError('HYPR_CANCELLED', 'watching was switched off'));
      return;
    }
    if (this.#refuses()) {
      return;
    }
    const own = new AbortController();
    this.#watching = own;
    this.#model.setWatching(true);
    const signal = AbortSignal.any([own.signal, this.#signal]);
    try {
      await this.#watchUntil(signal);
    } catch (error) {
      if (!signal.aborted || !isAbort(error)) {
        this.#model.change({ message: messageOf(error) });
      }
    } finally {
      this.#watching = undefined;
      this.#model.setWatching(false);
    }
  }

  async #watchUntil(signal: AbortSignal): Promise<void> {
    const { stack, project, options, invocation } = this.#up;
    const engine = await invocation.context.engine();
    const note = (text: string): void => this.#model.note(` \u29bf ${text}`);
    await engine.watch(
      stack,
      project,
      {
        services: invocation.args,
        up: { ...options, build: false, forceRecreate: false },
        onNotice: note,
        onEvent: this.#see,
        act: (name, work) => this.#operate(name, () => work(this.#work.signal)),
        onOutput: (_, data) => note(Buffer.from(data).toString('utf8').trimEnd()),
      },
      signal,
    );
  }

  /** Without the model of the stack nothing is made; the last row says why. */
  #refuses(): boolean {
    const { noModel } = this.#up;
    if (noModel !== undefined) {
      this.#model.change({ message: `not without the model of the stack: ${noModel}` });
    }
    return noModel !== undefined;
  }

  #change(service: string, what: string, options: Partial<UpOptions>): Promise<void> {
    const { stack, project } = this.#up;
    const all = { ...UP_DEFAULTS, ignoreOrphans: true, noDeps: true, services: [service], ...options };
    return this.#tell(service, what, () => stack.up(project, all, this.#see, this.#work.signal));
  }

  /** Carries it out and tells how it ended. */
  async #tell(service: string, what: string, work: () => Promise<void>): Promise<void> {
    try {
      await this.#operate(what, work);
      this.#model.change({ message: `${service}: ${what} done` });
    } catch (error) {
      this.#model.change({ message: `${service}: ${what} failed: ${messageOf(error)}` });
    }
  }

  async #operate(name: string, work: () => Promise<void>): Promise<void> {
    const end = this.#model.beginOperation(name);
    const running = work();
    this.#running.add(running);
    try {
      await running;
    } finally {
      this.#running.delete(running);
      end();
    }
  }

  readonly #see = (event: EngineEvent): void => {
    this.#model.apply(event);
    this.#follower?.(event);
  };
}
