import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { Replica } from '../replica/replica.ts';
import { tellNamesInTurn } from '../replica/tell-names.ts';
import type { StackNetworks } from '../resources/networks.ts';
import type { VmRow } from '../state/records.ts';

const log = logger('supervisor');

export interface ChangesOptions {
  readonly replicas: ReadonlyMap<string, Replica>;
  readonly networks: StackNetworks;
  /** Whose names are answered. */
  readonly liveRows: () => readonly VmRow[];
  /** After every change. */
  readonly onSettled: () => void;
}

/**
 * Between two tellings, in milliseconds. Thirty machines that start would hear of each other four hundred times, and taking
 * that in costs an emulated guest as much as its start. What they hear late is the name of one that is booting meanwhile.
 */
const PAUSE_MS = 250;

/**
 * What follows every change of a stack: its machines hear the names of now, at once when nothing has changed for a while.
 * Several changes are told once.
 */
export class Changes {
  readonly #options: ChangesOptions;
  #isPending = false;
  #isOver = false;
  /** Names were told less than a pause ago; `true` when there is something new since. */
  #rest: { isDue: boolean; readonly timer: NodeJS.Timeout } | undefined;

  constructor(options: ChangesOptions) {
    this.#options = options;
  }

  note(): void {
    if (this.#isPending) {
      return;
    }
    this.#isPending = true;
    setImmediate(() => {
      this.#isPending = false;
      if (!this.#isOver) {
        this.#pushInTime();
        this.#options.onSettled();
      }
    });
  }

  /** What was put off is told now: an operation is over, and who waited for it may ask for any name. */
  flush(): void {
    this.#stopResting();
    this.note();
  }

  /** Nothing is told any more. */
  close(): void {
    this.#isOver = true;
    this.#stopResting();
  }

  #pushInTime(): void {
    if (this.#rest !== undefined) {
      this.#rest.isDue = true;
      return;
    }
    const timer = setTimeout(() => {
      const isDue = this.#rest?.isDue === true;
      this.#rest = undefined;
      if (isDue) {
        this.#pushInTime();
      }
    }, PAUSE_MS);
    this.#rest = { isDue: false, timer: timer.unref() };
    this.#pushNames();
  }

  #stopResting(): void {
    clearTimeout(this.#rest?.timer);
    this.#rest = undefined;
  }

  #pushNames(): void {
    const { replicas, networks, liveRows } = this.#options;
    const namesFor = networks.nameTables(liveRows());
    for (const { run, row } of replicas.values()) {
      // One that is paused is told when it goes on.
      if (run !== undefined && row.state !== 'paused') {
        tellNamesInTurn(run, namesFor(row.spec)).catch((error: unknown) =>
          log.debug('names not told', { replica: row.name, error: messageOf(error) }),
        );
      }
    }
  }
}
