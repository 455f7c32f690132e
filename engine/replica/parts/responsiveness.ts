import { linkedController, onAbort } from '../../../base/abort.ts';
import { HyprError } from '../../../base/errors.ts';
import { isStopped } from '../../../base/host/process.ts';
import type { EventBus } from '../../logs/bus.ts';
import type { GuestClock } from '../boot/guest-clock.ts';
import type { Run } from '../boot/run.ts';
import type { ReplicaHealth } from './probe-health.ts';
import type { ReplicaRecord } from './record.ts';

/** How long after an answer the guest is asked again. How long an answer may take is the guest client's deadline for any request. */
const ASK_EVERY_MS = 15_000;

/** For what needs the guest: `signal` aborts with GUEST_SILENT once it is known to be silent. */
export interface Expectation extends Disposable {
  readonly signal: AbortSignal;
}

/**
 * Whether the guest of a running replica answers. A machine that was stopped by the host, or that hangs, breaks no connection and ends
 * nothing: only asking shows it. It is told, and a healthy replica is unhealthy then; no more, because it may go on at any time.
 */
export class Responsiveness {
  readonly #record: ReplicaRecord;
  readonly #bus: EventBus;
  readonly #health: Pick<ReplicaHealth, 'silent'>;
  readonly #clock: GuestClock;
  readonly #expecting = new Set<Pick<AbortController, 'abort'>>();
  #askNow: () => void = () => {};

  constructor(
    record: ReplicaRecord,
    bus: EventBus,
    { health, clock }: { readonly health: Pick<ReplicaHealth, 'silent'>; readonly clock: GuestClock },
  ) {
    this.#record = record;
    this.#bus = bus;
    this.#health = health;
    this.#clock = clock;
  }

  /** Asks until the run ends, and looks whether what its machine needs is still there. */
  watch(run: Run): void {
    this.#record.noteSilence(undefined);
    onAbort(run.abort.signal, () => this.#record.noteSilence(undefined));
    void this.#follow(run);
  }

  /**
   * Throws GUEST_SILENT when the guest is known to be silent, HYPR_DISK_FULL when its machine is held. Otherwise it is asked now, so that
   * nobody waits longer than an answer takes.
   */
  expect(signal: AbortSignal): Expectation {
    if (this.#record.stall?.kind === 'full') {
      throw new HyprError('HYPR_DISK_FULL', `${this.#record.row.name} is held: the host's disk is full`, {
        hint: 'nothing is lost; it goes on when there is space: hypr system prune frees some',
      });
    }
    if (this.#record.silentSince !== undefined) {
      throw this.silentError();
    }
    const controller = linkedController(signal);
    this.#expecting.add(controller);
    this.#askNow();
    return { signal: controller.signal, [Symbol.dispose]: () => void this.#expecting.delete(controller) };
  }

  async #follow(run: Run): Promise<void> {
    const { signal } = run.abort;
    while (!signal.aborted) {
      // A host that wakes up tells nobody, and the clocks of its guests stood. One that is paused gets the time when it goes on.
      if (this.#clock.hasJumped() && this.#record.row.state === 'running') {
        void this.#clock.set(run.guest);
      }
      run.machine.endIfCrippled?.();
      if (!(await this.#isSilent(run))) {
        await this.#rest(signal);
      }
    }
  }

  /** Asks once. True when no answer came though there should have been one: then it is asked again at once. */
  async #isSilent(run: Run): Promise<boolean> {
    const { signal } = run.abort;
    const since = Date.now();
    try {
      await run.guest.stats(signal);
      this.#heard();
      return false;
    } catch (error) {
      const isSilent = error instanceof HyprError && error.code === 'HYPR_TIMEOUT';
      // A paused guest cannot answer, and one that ends need not. A broken channel ends the run.
      const counts = isSilent && !signal.aborted && this.#record.row.state === 'running' && this.#record.stall?.kind !== 'full';
      if (counts) {
        this.#missed(since);
      }
      return counts;
    }
  }

  /** Ends early when somebody needs the guest, or the run ends. */
  #rest(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#askNow(), ASK_EVERY_MS);
      this.#askNow = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', this.#askNow);
        this.#askNow = () => {};
        resolve();
      };
      signal.addEventListener('abort', this.#askNow, { once: true });
      if (signal.aborted) {
        this.#askNow();
      }
    });
  }

  #missed(since: number): void {
    const record = this.#record;
    if (record.silentSince !== undefined) {
      return;
    }
    record.noteSilence(since);
    const error = this.silentError();
    this.#bus.emit({ type: 'warning', message: `${error.message}: ${error.hint}` });
    for (const controller of [...this.#expecting]) {
      controller.abort(error);
    }
    this.#health.silent();
  }

  #heard(): void {
    if (this.#record.silentSince !== undefined) {
      this.#record.noteSilence(undefined);
      this.#bus.emit({ type: 'warning', message: `${this.#record.row.name} responds again` });
    }
  }

  /** GUEST_SILENT, with what to do. `since`: where it was not told yet. */
  silentError(since = this.#record.silentSince ?? Date.now()): HyprError {
    const { name, service, stack, machine } = this.#record.row;
    const seconds = Math.round((Date.now() - since) / 1000);
    const pid = machine?.process.pid;
    return new HyprError('GUEST_SILENT', `${name} has not responded for ${seconds} s`, {
      hint:
        pid !== undefined && isStopped(pid)
          ? `its machine was stopped by a signal; let it go on: kill -CONT ${pid}`
          : `it may be overloaded, or hang; start it again: hypr -p ${stack} restart ${service}`,
    });
  }
}
