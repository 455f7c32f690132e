import { render } from 'ink';
import { neverAborts } from '../../base/abort.ts';
import { HyprError, isAbort, messageOf } from '../../base/errors.ts';
import { VERB_DEFAULTS } from '../../engine/model/option-defaults.ts';
import type { ServiceVerb } from '../../engine/model/types.ts';
import type { CliContext } from '../core/context.ts';
import { STOPPING } from '../core/interrupts.ts';
import { createPaint, hasUnicode, wantsColour } from '../core/style.ts';
import { formatSummary } from '../format/summary.ts';
import { createRenderer } from '../render/create.ts';
import { feedEvent } from '../render/types.ts';
import type { AttachedUp } from '../session/attached-up.ts';
import { Screen } from './alternate-screen.ts';
import type { Effects } from './control.ts';
import { Dashboard } from './dashboard.tsx';
import { DashboardModel } from './model.ts';

type Ending = { readonly how: 'detach' | 'stop' | 'interrupt' } | { readonly how: 'failed'; readonly error: unknown };

/**
 * Attached `up` as a full-screen dashboard. Ends with `d` (0), `q` (0, stops the stack if the user confirms), Ctrl-C
 * (stops the stack, 130), or if `up` fails; that error is thrown once the normal screen is restored.
 */
export const runDashboard = async (up: AttachedUp): Promise<number> => {
  const { context } = up.invocation;
  const model = new DashboardModel({ stack: up.stack.name, now: context.now });
  const session = new DashboardSession(up, model);
  const release = context.interrupts.take(() => session.effects.interrupt());
  try {
    const ending = await session.run();
    if (ending.how === 'failed') {
      throw ending.error;
    }
    if (ending.how !== 'detach') {
      await stopStack(up, context);
    }
    await printSummary(up, context);
    return ending.how === 'interrupt' ? 130 : 0;
  } finally {
    model.close();
    release();
  }
};

class DashboardSession {
  readonly effects: Effects;
  readonly #up: AttachedUp;
  readonly #model: DashboardModel;
  readonly #context: CliContext;
  readonly #over = new AbortController();
  readonly #ended: Promise<Ending>;
  #end: (ending: Ending) => void = () => {};
  #screen: Screen | undefined;
  #urlsAreOld = false;
  #findingUrls: Promise<void> | undefined;

  constructor(up: AttachedUp, model: DashboardModel) {
    this.#up = up;
    this.#model = model;
    this.#context = up.invocation.context;
    this.#ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.effects = {
      verb: (verb, service) => void this.#operate(verb, () => this.#runVerb(verb, service)),
      openUrl: (url) => void this.#openUrl(url),
      copy: (text) => this.#context.stdout.write(`\u001b]52;c;${Buffer.from(text).toString('base64')}\u0007`),
      interrupt: () => this.#end({ how: 'interrupt' }),
      leave: (how) => this.#end({ how }),
      suspend: () => this.#screen?.suspend(),
    };
  }

  /** Resolves when the normal screen is restored. */
  async run(): Promise<Ending> {
    this.#screen = new Screen(this.#context, () => this.#mount());
    const watched = this.#watch();
    const started = this.#operate('up', async () => {
      const { stack, project, options } = this.#up;
      await stack.up(project, options, (event) => this.#model.apply(event), this.#over.signal);
    }).catch((error) => this.#end({ how: 'failed', error }));
    try {
      this.#screen.enter();
      return await this.#ended;
    } finally {
      this.#screen.leave();
      this.#over.abort(new HyprError('HYPR_CANCELLED', 'the dashboard was closed'));
      await Promise.allSettled([watched, started]);
    }
  }

  #mount(): () => void {
    const { stdin, stdout, env } = this.#context;
    const columns = Math.max(40, stdout.columns ?? 80);
    const rows = Math.max(8, stdout.rows ?? 24);
    const color = wantsColour(stdout, env, this.#up.invocation.flags);
    const look = { paint: createPaint(color), color, unicode: hasUnicode(env), columns, rows };
    const app = render(<Dashboard model={this.#model} look={look} effects={this.effects} />, {
      stdin: stdin as NodeJS.ReadStream,
      stdout: stdout as NodeJS.WriteStream,
      exitOnCtrlC: false,
      // There is a terminal, or no dashboard; Ink would draw nothing before the end where CI is set, as in containers of developers.
      interactive: true,
      patchConsole: true,
      // Ink 6.8's incremental mode starts one row too low whenever the frame is not exactly as high as the terminal.
      incrementalRendering: false,
      maxFps: 30,
    });
    return () => app.unmount();
  }

  async #watch(): Promise<void> {
    try {
      for await (const event of this.#up.stack.events({ logs: true, usage: true, start: true }, this.#over.signal)) {
        // Progress comes with the operations of this dashboard; that of the event stream would be shown twice.
        if (event.type !== 'progress') {
          this.#model.apply(event);
        }
        if (event.type === 'replica') {
          this.#findUrls();
        }
      }
      this.#model.change({ message: 'the stack has gone; q leaves' });
    } catch (error) {
      if (!this.#over.signal.aborted || !isAbort(error)) {
        this.#end({ how: 'failed', error });
      }
    }
  }

  /** One question at a time; what changes meanwhile is asked for afterwards. */
  #findUrls(): void {
    this.#urlsAreOld = true;
    this.#findingUrls ??= this.#askForUrls().finally(() => {
      this.#findingUrls = undefined;
    });
  }

  async #askForUrls(): Promise<void> {
    while (this.#urlsAreOld && !this.#over.signal.aborted) {
      this.#urlsAreOld = false;
      try {
        const engine = await this.#context.engine();
        this.#model.setUrls(await engine.listUrls(this.#up.stack.name, this.#over.signal));
      } catch {
        // Without names the published ports are shown.
      }
    }
  }

  async #runVerb(verb: ServiceVerb, service: string): Promise<void> {
    const { stack, project } = this.#up;
    try {
      await stack.verb(verb, project, { ...VERB_DEFAULTS, services: [service] }, (event) => this.#model.apply(event), this.#over.signal);
      this.#model.change({ message: `${service}: ${verb} done` });
    } catch (error) {
      this.#model.change({ message: `${service}: ${verb} failed: ${messageOf(error)}` });
    }
  }

  async #openUrl(url: string): Promise<void> {
    try {
      const trust = await (await this.#context.engine()).openTrust(this.#over.signal);
      // A published port is opened as it is, like a name that every program finds.
      const reach = new URL(url).hostname.endsWith('.localhost') ? 'localhost' : 'system';
      const opened = await trust.open({ url, reach });
      this.#model.change({
        message: opened.why === undefined ? `opened ${opened.url}` : `not opened: ${opened.why}; the address is ${url}`,
      });
    } catch (error) {
      this.#model.change({ message: `${url} was not opened: ${messageOf(error)}` });
    }
  }

  async #operate(name: string, work: () => Promise<void>): Promise<void> {
    this.#model.beginOperation(name);
    try {
      await work();
    } finally {
      this.#model.endOperation();
    }
  }
}

/** On the normal screen, with the usual progress; another Ctrl-C kills, a third one detaches. */
const stopStack = async ({ invocation, stack, project, options }: AttachedUp, context: CliContext): Promise<void> => {
  context.stderr.write(STOPPING);
  const stopping = new AbortController();
  const renderer = await createRenderer(context, invocation.flags, 'stop');
  const run = (verb: 'stop' | 'kill', signal: AbortSignal): Promise<void> =>
    stack.verb(verb, project, { ...VERB_DEFAULTS, timeout: options.timeout }, (event) => feedEvent(renderer, event), signal);
  const release = context.interrupts.take(
    () => stopping.abort(new HyprError('HYPR_CANCELLED', 'forced')),
    () => context.interrupts.force(),
  );
  try {
    await run('stop', stopping.signal).catch((error) => {
      if (!stopping.signal.aborted) {
        throw error;
      }
      return run('kill', neverAborts());
    });
  } finally {
    release();
    renderer.close();
  }
};

const printSummary = async ({ stack }: AttachedUp, context: CliContext): Promise<void> => {
  const urls = await (await context.engine()).listUrls(stack.name, context.interrupts.signal);
  const summary = formatSummary(await stack.ps(), stack.name, urls);
  if (summary !== '') {
    context.stderr.write(`${stack.name} is running:\n${summary}\nstop it with: hypr -p ${stack.name} down\n`);
  }
};
