import { withDeadline } from '../../../base/deadline.ts';
import { messageOf } from '../../../base/errors.ts';
import { logger } from '../../../base/log.ts';
import type { GuestProcess } from '../../../guest/types.ts';
import type { EventBus } from '../../logs/bus.ts';
import type { LogWriter } from '../../logs/log-writer.ts';
import type { LogStore } from '../../logs/logs.ts';
import { type OutputTap, openTap } from '../../logs/output-tap.ts';
import type { LogRecord } from '../../model/events.ts';

const log = logger('output');

/** How long to wait for the last output of a workload once its machine is gone. */
const DRAIN_MS = 5_000;

/** Carries the output of a replica from its guest to the log file and the bus, over all its runs. */
export class ReplicaOutput {
  readonly #options: { readonly logs: LogStore; readonly bus: EventBus; readonly replica: string; readonly service: string };
  #writer: LogWriter | undefined;
  #pumping: Promise<void> = Promise.resolve();
  readonly #taps = new Set<OutputTap>();

  constructor(options: { logs: LogStore; bus: EventBus; replica: string; service: string }) {
    this.#options = options;
  }

  /** Makes the log file ready for a run; `resumed` continues where an earlier supervisor stopped. */
  async open({ run, resumed }: { run: number; resumed: boolean }): Promise<void> {
    const { logs, replica, service } = this.#options;
    this.#writer ??= await logs.writer(replica, service);
    await this.#writer.begin(run, { resumed });
  }

  /** Reads the output of a run until it ends. */
  follow(process: GuestProcess): void {
    this.#pumping = this.#pump(process);
  }

  /** The output from now on, for an attached client; ends with the run. */
  tap(): OutputTap {
    const tap: OutputTap = openTap(() => this.#taps.delete(tap));
    this.#taps.add(tap);
    return tap;
  }

  /** Waits until attached clients have read everything; a slow client delays the end of the machine. */
  async delivered(): Promise<void> {
    if (this.#taps.size > 0) {
      await this.#pumping;
    }
  }

  /** Resolves when all output of the ended run is on the bus and in the file. */
  async finish(): Promise<void> {
    await withDeadline({ ms: DRAIN_MS, what: 'the rest of the output' }, () => this.#pumping).catch((error: unknown) =>
      log.warn('output cut', { replica: this.#options.replica, error: messageOf(error) }),
    );
    await this.settled();
  }

  async settled(): Promise<void> {
    await this.#writer?.settled();
  }

  async close(): Promise<void> {
    await this.finish();
    for (const tap of this.#taps) {
      tap.end();
    }
    const writer = this.#writer;
    this.#writer = undefined;
    await writer?.close();
  }

  /** Never rejects. */
  async #pump(process: GuestProcess): Promise<void> {
    const writer = this.#writer;
    if (writer === undefined) {
      return;
    }
    // The guest forgets a line when it is in the file: whoever takes over from a killed supervisor gets the others again.
    const acknowledge = process.holdOutput();
    try {
      for await (const chunk of process.output) {
        this.#tell(writer.write(chunk));
        const kept = writer.written(chunk.stream);
        void writer.settled().then(() => acknowledge(chunk.stream, kept));
        if (this.#taps.size > 0) {
          await Promise.all([...this.#taps].map((tap) => tap.push(chunk)));
        }
      }
    } catch (error) {
      log.debug('output ended', { replica: this.#options.replica, error: messageOf(error) });
    }
    this.#tell(writer.flush());
    for (const tap of this.#taps) {
      tap.end();
    }
  }

  #tell(records: readonly LogRecord[]): void {
    for (const record of records) {
      this.#options.bus.emit({ type: 'log', record });
    }
  }
}
