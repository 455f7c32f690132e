import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { tellNamesInTurn } from '../machine/tell-names.ts';
import type { Replica } from '../replica/replica.ts';
import type { StackNetworks } from '../resources/networks.ts';
import type { VmRow } from '../state/records.ts';

const log = logger('supervisor');

export interface ChangesOptions {
  readonly replicas: ReadonlyMap<string, Replica>;
  readonly networks: StackNetworks;
  /** The replicas whose names guests can look up. */
  readonly liveRows: () => readonly VmRow[];
  /** After every change. */
  readonly onSettled: () => void;
}

/**
 * Milliseconds between two updates of the name tables. Thirty machines that start would otherwise get four hundred updates, which
 * cost an emulated guest as much as its start. What comes late is only the name of a machine that is still booting.
 */
const PAUSE_MS = 250;

/**
 * Sends the current names to all machines after every change of the stack: at once when nothing has changed for a while,
 * otherwise several changes in one update.
 */
export class Changes {
  readonly #options: ChangesOptions;
  #isPending = false;
  #isOver = false;
  /** Set for a pause after each update; `isDue` when there was a change since. */
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

  /** Sends a postponed update now: an operation is over, and its caller may look up any name. */
  flush(): void {
    this.#stopResting();
    this.note();
  }

  /** Sends no more updates. */
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
    const rows = liveRows();
    networks.publishNames(rows);
    const namesFor = networks.nameTables(rows);
    for (const { run, row } of replicas.values()) {
      // A paused machine gets the names when it resumes.
      if (run !== undefined && row.state !== 'paused') {
        tellNamesInTurn(run, namesFor(row.spec)).catch((error: unknown) =>
          log.debug('names not told', { replica: row.name, error: messageOf(error) }),
        );
      }
    }
  }
}
