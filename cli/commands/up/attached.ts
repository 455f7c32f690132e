import { HyprError, isAbort } from '../../../base/errors.ts';
import type { EngineEvent, ReplicaStatus } from '../../../engine/model/events.ts';
import { VERB_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import { STOPPING } from '../../core/interrupts.ts';
import { wantsColour } from '../../core/style.ts';
import { LogFormatter, shortName } from '../../format/logs.ts';
import { createRenderer } from '../../render/create.ts';
import { feedEvent, type ProgressRenderer } from '../../render/types.ts';
import { createBuildingRenderer } from '../../render/with-builds.ts';
import type { AttachedUp } from '../../session/attached-up.ts';
import { tellMovedPorts, upEvents } from './events.ts';
import { ExitWatch } from './exit-watch.ts';

/**
 * Attached `up` as a plain stream: progress on stderr, logs with prefixes, `web-1 exited with code 0`.
 * Ends when every attached service has ended, when an `--abort-on-…` flag says so, or on Ctrl-C, which
 * stops the stack first. Gives the exit code.
 */
export const upAttached = async (up: AttachedUp): Promise<number> => {
  const { context, flags } = up.invocation;
  const renderer = await createBuildingRenderer(context, flags, 'up');
  const session = new AttachedSession(up, renderer);
  const release = context.interrupts.take(
    () => session.stop(),
    () => session.kill(),
    () => context.interrupts.force(),
  );
  try {
    return await session.run();
  } finally {
    release();
    renderer.close();
  }
};

class AttachedSession {
  readonly #up: AttachedUp;
  #renderer: ProgressRenderer;
  readonly #formatter: LogFormatter;
  readonly #exits: ExitWatch;
  readonly #attached: ReadonlySet<string>;
  readonly #starting = new AbortController();
  readonly #watching = new AbortController();
  #operation = new AbortController();
  #started = false;
  #interrupted = false;
  #stopping: Promise<void> | undefined;
  #failure: unknown;

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
    // Subscribed before anything starts, so that no line is missed.
    const watched = this.#watch();
    try {
      await this.#start();
    } catch (error) {
      if (this.#stopping === undefined) {
        this.#failure ??= error;
        this.#watching.abort();
      }
    }
    await watched;
    await this.#stopping;
    this.#renderer.close();
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
    return this.#interrupted ? 130 : this.#exits.code;
  }

  /** Interrupted: stops everything. */
  stop(): void {
    this.#interrupted = true;
    this.#renderer.printAbove(() => this.#up.invocation.context.stderr.write(`\n${STOPPING}`));
    this.#end('stop');
  }

  /** Interrupted again: does not wait for the stop. */
  kill(): void {
    this.#operation.abort(new HyprError('HYPR_CANCELLED', 'forced'));
    this.#end('kill');
  }

  async #start(): Promise<void> {
    const { stack, project, loaded, options, invocation } = this.#up;
    await stack.up(project, options, upEvents(this.#renderer, invocation.flags), this.#starting.signal);
    await tellMovedPorts(invocation, stack, loaded, this.#renderer);
    this.#renderer.close();
    this.#started = true;
    const mine = (await stack.ps()).filter((replica) => this.#attached.has(replica.service) && !replica.oneOff);
    for (const replica of mine) {
      this.#exits.expect(replica.name);
      this.#formatter.know(replica.name);
    }
    if (mine.length > 0) {
      invocation.context.stdout.write(
        `Attaching to ${mine
          .map((replica) => shortName(replica.name, stack.name))
          .sort()
          .join(', ')}\n`,
      );
    }
    if (invocation.flags.bool('watch')) {
      void this.#watchFiles();
    }
    this.#endWhenAllEnded();
  }

  /** `--watch`: until the end. */
  async #watchFiles(): Promise<void> {
    const { stack, project, options, invocation } = this.#up;
    const { context, args } = invocation;
    try {
      const engine = await context.engine();
      const write = (text: string) => this.#renderer.printAbove(() => context.stderr.write(text));
      await engine.watch(
        stack,
        project,
        {
          services: args,
          up: { ...options, build: false, forceRecreate: false },
          onNotice: (text) => write(` \u29bf ${text}\n`),
          onEvent: (event) => event.type === 'warning' && write(`warning: ${event.message}\n`),
          onOutput: (_, data) => this.#renderer.printAbove(() => context.stdout.write(data)),
        },
        this.#watching.signal,
      );
    } catch (error) {
      if (!this.#watching.signal.aborted) {
        this.#failure ??= error;
        this.#end('stop');
      }
    }
  }

  async #watch(): Promise<void> {
    try {
      for await (const event of this.#up.stack.events({ logs: true, usage: false, start: true }, this.#watching.signal)) {
        this.#onEvent(event);
      }
    } catch (error) {
      if (!this.#watching.signal.aborted || !isAbort(error)) {
        this.#failure ??= error;
        this.#starting.abort(error);
      }
    }
  }

  #onEvent(event: EngineEvent): void {
    const { context } = this.#up.invocation;
    if (event.type === 'log' && this.#attached.has(event.record.service)) {
      const stream = event.record.stream === 'stderr' ? context.stderr : context.stdout;
      this.#renderer.printAbove(() => stream.write(this.#formatter.line(event.record)));
    } else if (event.type === 'replica') {
      this.#onReplica(event.replica, event.gone === true, event.action === 'die');
    } else if ((event.type === 'warning' || event.type === 'refusal') && this.#started) {
      feedEvent(this.#renderer, event);
    }
  }

  #onReplica(replica: ReplicaStatus, gone: boolean, died: boolean): void {
    // A one-off of `run` is not a service of this `up`, however it ends.
    if (replica.oneOff) {
      return;
    }
    const { context } = this.#up.invocation;
    const attached = this.#attached.has(replica.service);
    const exit = this.#exits.see(replica, { gone, died });
    if (attached && !gone) {
      this.#formatter.know(replica.name);
    }
    if (attached && exit) {
      this.#renderer.printAbove(() => context.stdout.write(this.#formatter.exited(replica.name, exit.code, exit.restarting)));
    }
    if (exit?.abort && this.#stopping === undefined) {
      this.#renderer.printAbove(() => context.stderr.write('Aborting on container exit...\n'));
      this.#end('stop');
    }
    this.#endWhenAllEnded();
  }

  #endWhenAllEnded(): void {
    if (this.#started && this.#stopping === undefined && this.#exits.allEnded(this.#attached)) {
      this.#watching.abort();
    }
  }

  /** Stops or kills all services, then ends the watching. A failure is kept for the end of `run`. */
  #end(verb: 'stop' | 'kill'): void {
    this.#starting.abort(new HyprError('HYPR_CANCELLED', 'stopping'));
    const before = this.#stopping;
    const operation = new AbortController();
    this.#operation = operation;
    this.#stopping = (async () => {
      await before;
      try {
        await this.#carryOut(verb, operation.signal);
      } catch (error) {
        // The stop that a kill cut short has not failed.
        this.#failure ??= operation.signal.aborted ? undefined : error;
      }
      if (this.#operation === operation) {
        this.#watching.abort();
      }
    })();
  }

  async #carryOut(verb: 'stop' | 'kill', signal: AbortSignal): Promise<void> {
    const { stack, project, options, invocation } = this.#up;
    this.#renderer.close();
    this.#renderer = await createRenderer(invocation.context, invocation.flags, verb);
    // Of `up app` only that: what it needs runs on, as in docker compose.
    const { services, timeout } = options;
    await stack.verb(verb, project, { ...VERB_DEFAULTS, services, timeout }, (event) => feedEvent(this.#renderer, event), signal);
    // Ends whose events are still on their way are read from the state.
    for (const replica of await stack.ps()) {
      this.#onReplica(replica, false, false);
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
