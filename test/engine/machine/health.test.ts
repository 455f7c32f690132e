import { describe, expect, it } from 'vitest';
import { AsyncQueue } from '../../../base/queue.ts';
import { monitorHealth } from '../../../engine/machine/health.ts';
import type { HealthSpec } from '../../../engine/model/spec.ts';
import type { GuestClient, GuestEvent, ProcessSpec } from '../../../guest/types.ts';

const spec = (over: Partial<HealthSpec> = {}): HealthSpec => ({
  args: ['probe'],
  interval: 60_000,
  timeout: 1_000,
  retries: 3,
  startPeriod: 0,
  startInterval: 60_000,
  ...over,
});

/** A guest whose probes end with the code that `exit` gives for the number of probes before. */
const guestWith = (exit: (before: number) => number) => {
  const events = new AsyncQueue<GuestEvent>({});
  let probes = 0;
  const guest = {
    events: () => events,
    spawn: async () => {
      const code = exit(probes++);
      return { output: (async function* () {})(), exited: Promise.resolve({ code }), signal: async () => {} };
    },
  } as unknown as GuestClient;
  return { guest, events, probes: () => probes };
};

const monitor = (guest: GuestClient, health: HealthSpec) => {
  const abort = new AbortController();
  const told: string[] = [];
  const healthy = Promise.withResolvers<void>();
  const ended = monitorHealth({
    spec: health,
    guest,
    process: {} as ProcessSpec,
    initial: 'starting',
    startedAt: Date.now(),
    signal: abort.signal,
    suspended: () => false,
    onProbe: (now) => {
      told.push(now);
      if (now === 'healthy') {
        healthy.resolve();
      }
    },
  });
  const stop = async () => {
    abort.abort();
    await ended;
  };
  return { told, healthy: healthy.promise, stop };
};

const LISTENING = { type: 'listening', protocol: 'tcp', port: 80, address: '0.0.0.0' } as unknown as GuestEvent;

describe('the health of a service', () => {
  it('is healthy soon after it listens, though it was not ready yet at that moment', async () => {
    // As nginx, which writes its pid file after it listens: the first probe, that of the listener and one more fail.
    const { guest, events, probes } = guestWith((before) => (before < 3 ? 1 : 0));
    const watched = monitor(guest, spec());
    await expect.poll(probes).toBe(1);
    events.push(LISTENING);
    await watched.healthy;
    expect(watched.told).toEqual(['starting', 'starting', 'starting', 'healthy']);
    await watched.stop();
  });

  it('does not count probes that a listener brought, and asks no further when they all fail', async () => {
    const { guest, events, probes } = guestWith(() => 1);
    const watched = monitor(guest, spec({ retries: 1 }));
    await expect.poll(probes).toBe(1);
    events.push(LISTENING);
    await expect.poll(probes, { timeout: 5_000 }).toBe(5);
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(watched.told).toEqual(['starting', 'starting', 'starting', 'starting', 'starting']);
    await watched.stop();
  });

  it('is unhealthy after as many failures of the schedule as its retries, and healthy after one success', async () => {
    const { guest } = guestWith((before) => (before < 4 ? 1 : 0));
    const watched = monitor(guest, spec({ interval: 10, startInterval: 10 }));
    await watched.healthy;
    // The very first one comes before its time and does not count.
    expect(watched.told).toEqual(['starting', 'starting', 'starting', 'unhealthy', 'healthy']);
    await watched.stop();
  });
});
