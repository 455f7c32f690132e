import { constants } from 'node:os';
import { onAbort } from '../../base/abort.ts';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import type { GuestClient, ProcessSpec } from '../../guest/types.ts';
import type { Health } from '../model/events.ts';
import type { HealthSpec } from '../model/spec.ts';

export interface ProbeResult {
  readonly code: number;
  /** The end of its output, at most 4 KiB. */
  readonly output: string;
  readonly duration: number;
}

export interface HealthState {
  readonly health: Health;
  readonly failures: number;
}

/**
 * docker's rules: a success is healthy at once; `retries` failures in a row outside the start period
 * are unhealthy; failures inside it, or of an early probe, do not count. Pure.
 */
export const nextHealth = (spec: HealthSpec, state: HealthState, probe: { ok: boolean; counts: boolean }): HealthState => {
  if (probe.ok) {
    return { health: 'healthy', failures: 0 };
  }
  if (!probe.counts) {
    return state;
  }
  const failures = state.failures + 1;
  return { health: failures >= spec.retries ? 'unhealthy' : state.health, failures };
};

export interface HealthMonitorOptions {
  readonly spec: HealthSpec;
  readonly guest: GuestClient;
  /** Environment, user and folder of the probes: the workload's. */
  readonly process: ProcessSpec;
  readonly initial: Health;
  /** When the workload started; the start period counts from here. */
  readonly startedAt: number;
  readonly onProbe: (health: Health, probe: ProbeResult) => void;
  readonly signal: AbortSignal;
  /** True while the machine is paused: no probes run then, and none count. */
  readonly suspended: () => boolean;
}

/** Pauses in ms after a failed probe of a new listener: many a program listens a moment before it is ready. */
const AFTER_LISTENING = [100, 200, 400];

/**
 * Probes until the signal aborts. In addition to docker's schedule there is one probe at the start and a few
 * whenever the guest starts to listen on a port, so that a service counts as healthy at once and not at the next
 * tick. A failure of an extra probe does not count.
 */
export const monitorHealth = async (options: HealthMonitorOptions): Promise<void> => {
  const { spec, guest, signal } = options;
  let state: HealthState = { health: options.initial, failures: 0 };
  let early = watchListening(guest, signal);
  let counts = false;
  let soon: readonly number[] = [];
  while (!signal.aborted) {
    const probe = options.suspended() ? undefined : await runProbe(options);
    if (signal.aborted) {
      return;
    }
    if (probe === undefined || options.suspended()) {
      await waitFor(spec.interval, undefined, signal);
      continue;
    }
    const inStartPeriod = state.health === 'starting' && Date.now() - options.startedAt < spec.startPeriod;
    state = nextHealth(spec, state, { ok: probe.code === 0, counts: counts && !inStartPeriod });
    options.onProbe(state.health, probe);
    const pause = state.health === 'starting' && inStartPeriod ? Math.min(spec.startInterval, spec.interval) : spec.interval;
    const [retry = pause, ...later] = state.health === 'starting' ? soon : [];
    const woken = await waitFor(Math.min(retry, pause), state.health === 'starting' ? early.next() : undefined, signal);
    counts = !woken && retry >= pause;
    soon = woken ? AFTER_LISTENING : later;
    if (woken) {
      early = early.renew();
    }
  }
};

/** Gives promises of the next new listening port. */
const watchListening = (guest: GuestClient, signal: AbortSignal) => {
  let wake: () => void = () => {};
  let next = new Promise<void>((resolve) => {
    wake = resolve;
  });
  void (async () => {
    try {
      for await (const event of guest.events()) {
        if (event.type === 'listening') {
          wake();
        }
        if (signal.aborted) {
          return;
        }
      }
    } catch {
      // The channel is gone; the probes will fail and report that.
    }
  })();
  const watch = {
    next: () => next,
    renew: () => {
      next = new Promise<void>((resolve) => {
        wake = resolve;
      });
      return watch;
    },
  };
  return watch;
};

/** True when `early` came first. */
const waitFor = (ms: number, early: Promise<void> | undefined, signal: AbortSignal): Promise<boolean> =>
  new Promise((resolve) => {
    let leave = () => {};
    const finish = (woken: boolean) => {
      clearTimeout(timer);
      leave();
      resolve(woken);
    };
    const timer = setTimeout(() => finish(false), ms);
    leave = onAbort(signal, () => finish(false));
    early?.then(() => finish(true));
  });

const MAX_OUTPUT = 4096;
const { SIGKILL } = constants.signals;

const runProbe = async (options: HealthMonitorOptions): Promise<ProbeResult> => {
  const { spec, guest, process, signal } = options;
  const begin = Date.now();
  let output = '';
  try {
    const code = await withDeadline({ ms: spec.timeout, what: 'the health check', signal }, async (deadline) => {
      const probe = await guest.spawn({ ...process, args: spec.args, tty: false, stdin: false }, deadline);
      const leave = onAbort(deadline, () => void probe.signal(SIGKILL).catch(() => {}));
      try {
        for await (const chunk of probe.output) {
          output = (output + Buffer.from(chunk.data).toString('utf8')).slice(-MAX_OUTPUT);
        }
        return (await probe.exited).code;
      } finally {
        leave();
      }
    });
    return { code, output, duration: Date.now() - begin };
  } catch (error) {
    const late = error instanceof HyprError && error.code === 'HYPR_TIMEOUT' && !signal.aborted;
    const why = late ? `it took longer than ${spec.timeout / 1000} s, its timeout` : messageOf(error);
    return { code: -1, output: output || why, duration: Date.now() - begin };
  }
};
