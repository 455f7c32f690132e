import { render } from 'ink';
import { HyprError, isAbort } from '../../base/errors.ts';
import type { LogRecord, ReplicaStatus } from '../../engine/model/events.ts';
import type { CliContext } from '../core/context.ts';
import { isSpoken } from '../core/style.ts';
import type { AttachedUp } from '../session/attached-up.ts';
import { borrowTerminal, runAttach, runShell, showRaw } from './borrow.ts';
import { Dashboard } from './dashboard.tsx';
import { logRows } from './draw/draw-screen.ts';
import type { Effects } from './effects.ts';
import { Links } from './links.ts';
import { History, type PastRange } from './logs/history.ts';
import { contains } from './logs/log-view.ts';
import { showObjects } from './objects/show-objects.ts';
import { Operations, type Unfinished } from './operations.ts';
import { Screen } from './screen/alternate-screen.ts';
import { lookOf } from './screen/look.ts';
import { speak } from './speak.ts';
import type { DashboardModel } from './state/model.ts';

/** `unfinished`: what was under way when the dashboard was left. In every other case it is called off with the dashboard. */
export type Ending =
  | { readonly how: 'detach'; readonly unfinished: Unfinished | undefined }
  | { readonly how: 'stop' | 'interrupt' }
  | { readonly how: 'failed'; readonly error: unknown };

const TICK_MS = 1000;

/** The dashboard while it is open: its screen, what comes from the stack, and what keys do. */
export class DashboardSession {
  readonly effects: Effects;
  readonly #up: AttachedUp;
  readonly #model: DashboardModel;
  readonly #context: CliContext;
  readonly #operations: Operations;
  readonly #history: History;
  readonly #links: Links;
  readonly #over = new AbortController();
  readonly #ended: Promise<Ending>;
  readonly #screen: Screen;
  #end: (ending: Ending) => void = () => {};
  #hasEnded = false;
  #rows = 20;
  #ticking: NodeJS.Timeout | undefined;
  /** While a shell, a program or the plain lines have the terminal. */
  #lent: Promise<void> | undefined;

  constructor(up: AttachedUp, model: DashboardModel) {
    this.#up = up;
    this.#model = model;
    this.#context = up.invocation.context;
    this.#operations = new Operations(up, model, this.#over.signal);
    this.#links = new Links(up, model, this.#over.signal);
    this.#screen = new Screen(this.#context, (stdin) => this.#mount(stdin));
    this.#history = new History({
      buffer: model.logs,
      read: (replicas, range) => this.#readPast(replicas, range),
      onLoaded: () => model.touch(),
      now: this.#context.now,
    });
    this.#ended = new Promise((resolve) => {
      this.#end = (ending) => {
        this.#hasEnded = true;
        resolve(ending);
      };
    });
    this.effects = this.#makeEffects();
  }

  #makeEffects(): Effects {
    const operations = this.#operations;
    const { stack } = this.#up;
    const context = this.#context;
    return {
      verb: (verb, service) => void operations.verb(verb, service),
      rebuild: (service) => void operations.rebuild(service),
      scale: (service, count) => void operations.scale(service, count),
      why: (service) => void operations.why(service),
      watch: () => void operations.watch(),
      shell: (replica) => this.#borrow(replica, (status) => runShell(context, stack, status, this.#over.signal)),
      attach: (replica) => this.#borrow(replica, (status) => runAttach(context, stack, status, this.#over.signal)),
      raw: () => this.#lend(() => showRaw(context, this.#model, this.#over.signal).then(() => undefined)),
      objects: () => this.#lend(() => showObjects(this.#up.invocation, this.#model.keys, this.#over.signal)),
      toStart: () => void this.#toStart(),
      findOlder: () => void this.#findOlder(),
      openUrl: (url) => void this.#links.open(url),
      copy: (text) => context.stdout.write(`\u001b]52;c;${Buffer.from(text).toString('base64')}\u0007`),
      interrupt: () => this.#end({ how: 'interrupt' }),
      leave: (how) => this.#end(how === 'detach' ? { how, unfinished: operations.unfinished } : { how }),
      suspend: () => this.#screen.suspend(),
    };
  }

  /** Resolves when the normal screen is restored. */
  async run({ up, watch }: { readonly up: boolean; readonly watch: boolean }): Promise<Ending> {
    const watched = this.#watch(up);
    const unsubscribe = this.#model.subscribe(() => {
      this.#history.look(this.#model.view, this.#rows);
      this.#tickWhileWaiting();
    });
    const started = (up ? this.#operations.up() : Promise.resolve())
      .then(() => (watch && !this.#hasEnded ? this.#operations.watch() : undefined))
      .catch((error) => this.#end({ how: 'failed', error }));
    let goesOn = false;
    try {
      this.#screen.enter();
      const ending = await this.#ended;
      goesOn = ending.how === 'detach' && ending.unfinished !== undefined;
      return ending;
    } finally {
      clearTimeout(this.#ticking);
      this.#screen.leave();
      unsubscribe();
      const closed = new HyprError('HYPR_CANCELLED', 'the dashboard was closed');
      this.#over.abort(closed);
      if (!goesOn) {
        this.#operations.callOff(closed);
      }
      await Promise.allSettled([watched, this.#lent, ...(goesOn ? [] : [started])]);
    }
  }

  /** What is waited for says for how long, also where nothing happens: a frame draws the next one, until nothing is waited for. */
  #tickWhileWaiting(): void {
    const waits = ({ state }: ReplicaStatus): boolean => state === 'starting' || state === 'restarting' || state === 'stopping';
    if (this.#model.operation !== undefined || [...this.#model.replicas.values()].some(waits)) {
      this.#ticking ??= setTimeout(() => {
        this.#ticking = undefined;
        this.#model.touch();
      }, TICK_MS);
    }
  }

  readonly #takesKeys = (): boolean => !this.#hasEnded && this.#lent === undefined;

  #mount(stdin: NodeJS.ReadStream): () => void {
    const { stdout } = this.#context;
    const look = lookOf(this.#context, this.#up.invocation.flags);
    this.#rows = logRows(look);
    if (isSpoken(this.#context)) {
      return speak({ model: this.#model, look, effects: this.effects, takesKeys: this.#takesKeys }, stdin, (text) => stdout.write(text));
    }
    const app = render(<Dashboard model={this.#model} look={look} effects={this.effects} takesKeys={this.#takesKeys} />, {
      stdin,
      stdout: stdout as NodeJS.WriteStream,
      exitOnCtrlC: false,
      // There is a terminal, or no dashboard; Ink would draw nothing before the end where CI is set, as in containers of developers.
      interactive: true,
      patchConsole: true,
      maxFps: 30,
    });
    return () => app.unmount();
  }

  /** `start`: a supervisor is started where there is none, because an `up` follows. */
  async #watch(start: boolean): Promise<void> {
    const { stack } = this.#up;
    try {
      for (const replica of start ? [] : await stack.ps()) {
        this.#model.apply({ type: 'replica', time: this.#context.now(), action: 'update', replica });
      }
      for await (const event of stack.events({ logs: true, usage: true, start }, this.#over.signal)) {
        // Progress and builds come with the operations of this dashboard; those of the event stream would be shown twice.
        if (event.type !== 'progress' && event.type !== 'build') {
          this.#model.apply(event);
        }
        if (event.type === 'replica') {
          this.#links.find();
        }
      }
      this.#model.change({ message: 'the stack has gone; q leaves' });
    } catch (error) {
      if (!this.#over.signal.aborted || !isAbort(error)) {
        this.#end({ how: 'failed', error });
      }
    }
  }

  async *#readPast(replicas: ReadonlySet<string> | undefined, range: PastRange): AsyncIterable<LogRecord> {
    const services =
      replicas === undefined ? [] : this.#model.sorted.filter(({ name }) => replicas.has(name)).map(({ service }) => service);
    const { tail, since, until } = range;
    const options = { services: [...new Set(services)], follow: false, tail, since, until, index: undefined, earlier: true };
    for await (const record of this.#up.stack.logs(options, this.#over.signal)) {
      if (replicas?.has(record.replica) ?? true) {
        yield record;
      }
    }
  }

  async #toStart(): Promise<void> {
    await this.#history.toStart(this.#model.view);
    const first = [...this.#model.logs.forwards(this.#model.view.replicas, this.#model.view.after).take(this.#rows)];
    const anchor = first.at(-1)?.seq;
    this.#model.change({ anchor: first.length < this.#rows || anchor === this.#model.logs.newest ? undefined : anchor });
  }

  async #findOlder(): Promise<void> {
    const { search } = this.#model.ui;
    this.#model.change({ message: `looking for "${search}" in older lines` });
    const found = await this.#history.findOlder(this.#model.view, ({ line }) => contains(line, search), this.#over.signal);
    // Another search, other replicas, the first line: whoever went on meanwhile is not brought back.
    if (found !== 'left' && this.#model.ui.search === search) {
      this.#model.change(found === undefined ? { message: `no older line with "${search}"` } : { anchor: found.seq, message: '' });
    }
  }

  #borrow(name: string, work: (status: ReplicaStatus) => Promise<string>): void {
    const status = this.#model.replicas.get(name);
    if (status !== undefined) {
      this.#lend(() => work(status));
    }
  }

  /** One at a time has the terminal; keys that were pressed before it was given away borrow nothing more. */
  #lend(work: () => Promise<string | undefined>): void {
    this.#lent ??= this.#lendUntil(work).finally(() => {
      this.#lent = undefined;
    });
  }

  async #lendUntil(work: () => Promise<string | undefined>): Promise<void> {
    const comeBack = (): void => {
      // Who closed the dashboard meanwhile has the normal screen already.
      if (this.#over.signal.aborted) {
        this.#context.stdin.setRawMode?.(false);
      } else {
        this.#screen.enter();
      }
    };
    this.#model.change({ message: await borrowTerminal({ leave: () => this.#screen.leave(), enter: comeBack }, work) });
  }
}
