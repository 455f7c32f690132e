import { messageOf } from '../base/errors.ts';
import { logger } from '../base/log.ts';
import type { StackNetworks } from './networks.ts';
import type { Replica } from './replica.ts';
import type { VmRow } from './state/records.ts';
import { tellNamesInTurn } from './tell-names.ts';

const log = logger('supervisor');

export interface ChangesOptions {
  readonly replicas: ReadonlyMap<string, Replica>;
  readonly networks: StackNetworks;
  /** Whose names are answered. */
  readonly liveRows: () => readonly VmRow[];
  /** After every change. */
  readonly onSettled: () => void;
}

/** What follows every change of a stack: its machines hear the names of now. Several changes at once are told once. */
export class Changes {
  readonly #options: ChangesOptions;
  #isPending = false;
  #isOver = false;

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
        this.#pushNames();
        this.#options.onSettled();
      }
    });
  }

  /** Nothing is told any more. */
  close(): void {
    this.#isOver = true;
  }

  #pushNames(): void {
    const { replicas, networks, liveRows } = this.#options;
    const rows = liveRows();
    for (const { run, row } of replicas.values()) {
      // One that is paused is told when it goes on.
      if (run !== undefined && row.state !== 'paused') {
        tellNamesInTurn(run, networks.names(row.spec, rows)).catch((error: unknown) =>
          log.debug('names not told', { replica: row.name, error: messageOf(error) }),
        );
      }
    }
  }
}
