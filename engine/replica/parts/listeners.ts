import { onAbort } from '../../../base/abort.ts';
import { HyprError, messageOf } from '../../../base/errors.ts';
import { logger } from '../../../base/log.ts';
import type { GuestEvent } from '../../../guest/types.ts';
import { isLoopback } from '../../../net/addresses/loopback.ts';
import type { Listener } from '../../model/events.ts';
import type { ReplicaSpec } from '../../model/spec.ts';
import type { Run } from '../boot/run.ts';
import type { ReplicaRecord } from './record.ts';

const log = logger('replica');

/** How long after its start a service may take to listen while clients of its published ports wait; its `start_period` if that is longer. */
const START_MS = 60_000;
/** How long such a client waits for the start itself: for images, dependencies and the boot. */
const UNSTARTED_MS = 300_000;
/** A guest may not make its supervisor remember more. */
const MOST_LISTENERS = 256;

interface Waiting {
  readonly port: number;
  readonly resolve: () => void;
}

/** Which TCP ports programs of a replica listen on, as its guest tells, and clients that wait for one. */
export class ReplicaListeners {
  readonly #record: ReplicaRecord;
  /** The guest tells once, and the first one that asks. */
  readonly #onShareWatched: (run: Run, share: string) => void;
  readonly #waiting = new Set<Waiting>();
  /** Whether a port on which nothing listens yet is waited for. */
  #isStarting = false;
  #endOfStart: NodeJS.Timeout | undefined;
  #followed: Run | undefined;

  constructor(record: ReplicaRecord, onShareWatched: (run: Run, share: string) => void) {
    this.#record = record;
    this.#onShareWatched = onShareWatched;
  }

  /** From now on clients wait for their port: the replica is about to boot. */
  expect(): void {
    this.#isStarting = true;
  }

  /** Follows what the guest tells, until the run ends; once for each. Only what begins to listen from then on is told. */
  follow(run: Run): void {
    if (this.#followed === run) {
      return;
    }
    this.#followed = run;
    this.#follow(run).catch((error: unknown) => {
      log.warn('what listens in a guest is not known', { replica: this.#record.row.name, error: messageOf(error) });
      this.#stopWaiting();
    });
  }

  /** The workload has started: clients of its ports wait for so long. */
  watch(run: Run): void {
    const { startedAt, spec } = this.#record.row;
    const left = (startedAt ?? Date.now()) + Math.max(START_MS, spec.health?.startPeriod ?? 0) - Date.now();
    this.#isStarting = left > 0;
    clearTimeout(this.#endOfStart);
    this.#endOfStart = setTimeout(() => this.#stopWaiting(), Math.max(0, left)).unref();
    onAbort(run.abort.signal, () => {
      clearTimeout(this.#endOfStart);
      this.#record.noteListeners([]);
    });
    this.follow(run);
  }

  /**
   * Resolves when the port can be reached, or when the service is past its start: then whoever connects is told the truth. Rejects
   * when the signal aborts, which it does as the replica ends.
   */
  readonly awaitPort = async (port: number, signal: AbortSignal): Promise<void> => {
    if (!this.#isStarting || this.#isReachable(port)) {
      return;
    }
    let waiting: Waiting | undefined;
    let leave = () => {};
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        waiting = { port, resolve };
        this.#waiting.add(waiting);
        leave = onAbort(signal, () => reject(signal.reason));
        const { name } = this.#record.row;
        const late = new HyprError(
          'HYPR_TIMEOUT',
          `${name} did not start within ${UNSTARTED_MS / 1000} s; who waited for its port ${port} is let go`,
        );
        timer = setTimeout(() => reject(late), UNSTARTED_MS).unref();
      });
    } finally {
      clearTimeout(timer);
      leave();
      this.#waiting.delete(waiting as Waiting);
    }
  };

  async #follow(run: Run): Promise<void> {
    const open = new Map<string, Listener>();
    let isDue = false;
    for await (const event of run.guest.events()) {
      if (run.abort.signal.aborted) {
        return;
      }
      if (event.type === 'share-watched') {
        this.#onShareWatched(run, event.share);
      }
      // A look of the guest's gives many events at once, which are one change.
      if (noteEvent(open, event) && !isDue) {
        isDue = true;
        setImmediate(() => {
          isDue = false;
          if (!run.abort.signal.aborted) {
            this.#changed([...open.values()].sort(byPort));
          }
        });
      }
    }
  }

  #changed(listeners: readonly Listener[]): void {
    this.#record.noteListeners(listeners);
    for (const waiting of [...this.#waiting]) {
      if (this.#isReachable(waiting.port)) {
        waiting.resolve();
      }
    }
  }

  #isReachable(port: number): boolean {
    return reachablePorts(this.#record.row.spec, this.#record.listeners).includes(port);
  }

  /** The service had its time: those who wait see what there is. */
  #stopWaiting(): void {
    this.#isStarting = false;
    for (const waiting of [...this.#waiting]) {
      waiting.resolve();
    }
  }
}

/** The ports that connections from outside reach. A machine without a NIC is entered by its loopback: also a server on 127.0.0.1 is reached. */
export const reachablePorts = ({ isolated }: Pick<ReplicaSpec, 'isolated'>, listeners: readonly Listener[]): number[] => [
  ...new Set(listeners.filter(({ address }) => isolated !== undefined || !isLoopback(address)).map(({ port }) => port)),
];

/** False for an event that changes nothing here. */
const noteEvent = (open: Map<string, Listener>, event: GuestEvent): boolean => {
  if ((event.type !== 'listening' && event.type !== 'not-listening') || event.protocol !== 'tcp') {
    return false;
  }
  const { port, address } = event;
  const key = `${port} ${address}`;
  if (event.type === 'not-listening') {
    return open.delete(key);
  }
  if (open.size >= MOST_LISTENERS) {
    return false;
  }
  open.set(key, { port, address });
  return true;
};

const byPort = (a: Listener, b: Listener): number => a.port - b.port || (a.address < b.address ? -1 : 1);
