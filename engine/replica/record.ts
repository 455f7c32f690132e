import { listenToSpans } from '../../base/trace.ts';
import type { EventBus } from '../logs/bus.ts';
import type { LogStore } from '../logs/logs.ts';
import type { ReplicaAction, ReplicaStatus, StartSpan } from '../model/events.ts';
import type { VmRow } from '../state/records.ts';
import type { StateStore } from '../state/store.ts';
import type { BootContext } from './run.ts';
import { replicaStatus } from './status.ts';

export interface ReplicaContext extends BootContext {
  readonly store: StateStore;
  readonly logs: LogStore;
  readonly bus: EventBus;
  /** Told after every change that alters names or whether the stack is idle. */
  readonly onChange: () => void;
  /** Told when a replica has ended for good and is to be removed by itself. */
  readonly onLeft: (name: string) => void;
}

/** A replica's row: what it says is in the database and told on the bus. */
export class ReplicaRecord {
  #row: VmRow;
  #isOver = false;
  /** Of the last start under this supervisor; not in the database. */
  #startSpans: StartSpan[] = [];
  #endTiming: () => void = () => {};
  readonly #store: StateStore;
  readonly #bus: EventBus;

  constructor(row: VmRow, context: { readonly store: StateStore; readonly bus: EventBus }) {
    this.#row = row;
    this.#store = context.store;
    this.#bus = context.bus;
  }

  get row(): VmRow {
    return this.#row;
  }

  /** Removed or let go of: nothing is recorded or told any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  close(): void {
    this.#isOver = true;
  }

  status(): ReplicaStatus {
    const status = replicaStatus(this.#row, this.#store.leases(this.#row.stack));
    return this.#startSpans.length === 0 ? status : { ...status, startSpans: this.#startSpans };
  }

  /** From here until `endTiming`, what takes time is noted as a part of its start. */
  beginTiming(): void {
    this.#startSpans = [];
    this.#endTiming = listenToSpans(this.#row.name, (name, ms) => this.noteSpan({ name, ms }));
  }

  endTiming(): void {
    this.#endTiming();
  }

  noteSpan(span: StartSpan): void {
    this.#startSpans = [...this.#startSpans, span];
  }

  update(patch: Partial<VmRow>): void {
    this.#row = { ...this.#row, ...patch };
    if (!this.#isOver) {
      this.#store.putVm(this.#row);
      this.emit('update');
    }
  }

  emit(action: ReplicaAction): void {
    if (!this.#isOver) {
      this.#bus.emit({ type: 'replica', action, replica: this.status() });
    }
  }

  /** Its last word. */
  destroyed(): void {
    this.#bus.emit({ type: 'replica', action: 'destroy', replica: this.status(), gone: true });
  }
}
