import { HyprError, isAbort } from '../../base/errors.ts';
import type { Project } from '../../compose/model.ts';
import type { EngineEvent, ReplicaStatus } from '../../engine/events.ts';
import type { Stack, UpOptions, VerbOptions } from '../../engine/types.ts';
import { LogFormatter } from '../format/logs.ts';
import { createRenderer } from '../render/create.ts';
import { feedEvent, type ProgressRenderer } from '../render/types.ts';
import type { Invocation } from '../spec/types.ts';
import { wantsColour } from '../style.ts';
import { ExitWatch } from './exit-watch.ts';
import { plainVerb } from './verb-options.ts';

export interface AttachedUp {
  readonly invocation: Invocation;
  readonly stack: Stack;
  readonly project: Project;
  readonly options: UpOptions;
}

/**
 * Attached `up` as a plain stream: progress on stderr, logs with prefixes, `web-1 exited with code 0`.
 * Ends when every attached service has ended, when an `--abort-on-…` flag says so, or on Ctrl-C, which
 * stops the stack first. Gives the exit code.
 */
export const upAttached = async (up: AttachedUp): Promise<number> => {
  const { context, flags } = up.invocation;
  const renderer = await createRenderer(context, flags, 'up');
  const session = new AttachedSession(up, renderer);
  const release = context.interrupts.take((count) => session.interrupt(count));
  try {
    return await session.run();
  } finally {
    release();
    renderer.close();
  }
};

class AttachedSession {
  readonly #up: AttachedUp;
  readonly #renderer: ProgressRenderer;
  readonly #formatter: LogFormatter;
  readonly #exits: ExitWatch;
  readonly #starting = new AbortController();
  readonly #watching = new AbortController();
  readonly #attached: ReadonlySet<string>;
  #started = false;
  #interrupted = false;
  #stopping: Promise<void> | undefined;

  constructor(up: AttachedUp, renderer: ProgressRenderer) {
    const { context, flags } = up.invocation;
    this.#up = up;
    this.#renderer = renderer;
    this.#attached = attachedServices(up);
    this.#formatter = new LogFormatter({
      color: wantsColour(context.stdout, context.env, flags) && !flags.bool('no-color'),
      prefix: !flags.bool('no-log-prefix'),
      timestamps: flags.bool('timestamps'),
      stack: up.project.name,
    });
    this.#exits = new ExitWatch({
      abortOn: flags.bool('abort-on-container-failure') ? 'failure' : abortsOnExit(up) ? 'exit' : 'never',
      codeFrom: flags.string('exit-code-from'),
    });
  }

  async run(): Promise<number> {
    const { stack } = this.#up;
    // Subscribed before anything starts, so that no line is missed.
    const watched = this.#watch();
    try {
      await stack.up(this.#up.project, this.#up.options, (event) => feedEvent(this.#renderer, event), this.#starting.signal);
      this.#started = true;
      this.#announce();
      if (this.#exits.allEnded(this.#attached)) {
        this.#watching.abort();
      }
    } catch (error) {
      if (!this.#interrupted) {
        this.#watching.abort();
        throw error;
      }
    }
    await watched;
    await this.#stopping;
    return this.#interrupted ? 130 : this.#exits.code;
  }

  /** First Ctrl-C: stop everything; second: kill it; third: leave it all behind. */
  interrupt(count: number): void {
    const { context } = this.#up.invocation;
    this.#interrupted = true;
    if (count === 1) {
      this.#renderer.aside(() => context.stderr.write('\nGracefully Stopping... press Ctrl+C again to force\n'));
      this.#starting.abort(new HyprError('HYPR_CANCELLED', 'interrupted'));
      this.#stopping = this.#end('stop');
    } else if (count === 2) {
      this.#stopping = Promise.allSettled([this.#stopping, this.#end('kill')]).then(() => {});
    } else {
      context.terminal.restore();
      this.#watching.abort();
    }
  }

  async #watch(): Promise<void> {
    try {
      for await (const event of this.#up.stack.events({ logs: true, usage: false }, this.#watching.signal)) {
        this.#onEvent(event);
      }
    } catch (error) {
      if (!this.#watching.signal.aborted || !isAbort(error)) {
        throw error;
      }
    }
  }

  #onEvent(event: EngineEvent): void {
    const { context } = this.#up.invocation;
    if (event.type === 'log' && this.#attached.has(event.record.service)) {
      const stream = event.record.stream === 'stderr' ? context.stderr : context.stdout;
      this.#renderer.aside(() => stream.write(this.#formatter.line(event.record)));
    } else if (event.type === 'replica') {
      this.#onReplica(event.replica, event.gone === true, event.action === 'die');
    } else if (event.type === 'warning' && this.#started) {
      this.#renderer.onWarning(event.message);
    }
  }

  #onReplica(replica: ReplicaStatus, gone: boolean, died: boolean): void {
    const attached = this.#attached.has(replica.service) && !replica.oneOff;
    if (attached && !gone) {
      this.#formatter.know(replica.name);
    }
    const exit = this.#exits.see(replica, { gone, died });
    if (!attached || exit === undefined) {
      return;
    }
    const { context } = this.#up.invocation;
    this.#renderer.aside(() => context.stdout.write(this.#formatter.exited(replica.name, exit.code, exit.restarting)));
    if (exit.abort && !this.#interrupted && this.#stopping === undefined) {
      this.#renderer.aside(() => context.stderr.write('Aborting on container exit...\n'));
      this.#starting.abort(new HyprError('HYPR_CANCELLED', `${replica.service} ended`));
      this.#interrupted = false;
      this.#stopping = this.#end('stop');
    } else if (this.#started && this.#stopping === undefined && this.#exits.allEnded(this.#attached)) {
      this.#watching.abort();
    }
  }

  #announce(): void {
    const names = this.#exits.names(this.#attached);
    if (names.length > 0) {
      this.#renderer.aside(() => this.#up.invocation.context.stderr.write(`Attached to ${names.join(', ')}\n`));
    }
  }

  /** Stops or kills all services, then ends the watching, so that their last lines are still shown. */
  async #end(verb: 'stop' | 'kill'): Promise<void> {
    const options: VerbOptions = { ...plainVerb([]), timeout: this.#up.options.timeout };
    try {
      await this.#up.stack.verb(verb, this.#up.project, options, (event) => feedEvent(this.#renderer, event));
    } finally {
      this.#watching.abort();
    }
  }
}

const abortsOnExit = ({ invocation: { flags } }: AttachedUp): boolean =>
  flags.bool('abort-on-container-exit') || flags.string('exit-code-from') !== undefined;

/** `--attach`, else the services named, else all; minus `--no-attach` and `attach: false` of the file. */
const attachedServices = ({ invocation: { flags, args }, project }: AttachedUp): ReadonlySet<string> => {
  const asked = flags.list('attach');
  const named = asked.length > 0 ? asked : args;
  const all = Object.keys(project.services);
  const chosen = named.length === 0 || (asked.length === 0 && flags.bool('attach-dependencies')) ? all : named;
  const without = new Set(flags.list('no-attach'));
  return new Set(
    chosen.filter((service) => !without.has(service) && (asked.includes(service) || project.services[service]?.attach !== false)),
  );
};
