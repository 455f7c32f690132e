import { messageOf } from '../../base/errors.ts';
import type { AttachedUp } from '../session/attached-up.ts';
import type { DashboardModel } from './state/model.ts';

/** The addresses of services by name: found for the model, and opened in the browser. Never throws. */
export class Links {
  readonly #up: AttachedUp;
  readonly #model: DashboardModel;
  readonly #signal: AbortSignal;
  #areOld = false;
  #finding: Promise<void> | undefined;

  /** @param signal - the dashboard was closed */
  constructor(up: AttachedUp, model: DashboardModel, signal: AbortSignal) {
    this.#up = up;
    this.#model = model;
    this.#signal = signal;
  }

  /** One question at a time; what changes meanwhile is asked for afterwards. */
  find(): void {
    this.#areOld = true;
    this.#finding ??= this.#ask().finally(() => {
      this.#finding = undefined;
    });
  }

  async open(url: string): Promise<void> {
    try {
      const trust = await (await this.#up.invocation.context.engine()).openTrust(this.#signal);
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

  async #ask(): Promise<void> {
    while (this.#areOld && !this.#signal.aborted) {
      this.#areOld = false;
      try {
        const engine = await this.#up.invocation.context.engine();
        this.#model.setUrls(await engine.listUrls(this.#up.stack.name, this.#signal));
      } catch {
        // Without names the published ports are shown.
      }
    }
  }
}
