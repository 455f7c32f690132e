import { listenToSpans } from '../../../base/trace/trace.ts';
import type { EventBus } from '../../logs/bus.ts';
import type { LogStore } from '../../logs/logs.ts';
import type { Listener, ReplicaAction, ReplicaStatus, Stall, StartSpan } from '../../model/events.ts';
import type { VmRow } from '../../state/records.ts';
import type { StateStore } from '../../state/store.ts';
import type { BootContext } from '../boot/run.ts';
import { replicaStatus } from './status.ts';

export interface ReplicaContext extends BootContext {
  readonly store: StateStore;
  readonly logs: LogStore;
  readonly bus: EventBus;
  /** Called after every change that may affect names or whether the stack is idle. */
  readonly onChange: () => void;
  /** Called when a replica with --rm has ended for good. */
  readonly onLeft: (name: string) => void;
}

/** A replica's row. Every change is written to the database and emitted on the bus. */
export class ReplicaRecord {
  #row: VmRow;
  #isOver = false;
  /** Timing of the last start under this supervisor; not in the database. */
  #startSpans: StartSpan[] = [];
  #endTiming: () => void = () => {};
  /** What listens in the guest now; not in the database. */
  #listeners: readonly Listener[] = [];
  /** Not in the database: whoever takes it over sees for itself. */
  #stall: Stall | undefined;
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

  /** True after a removal or release: nothing is recorded or emitted any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  close(): void {
    this.#isOver = true;
  }

  status(): ReplicaStatus {
    const status = replicaStatus(this.#row, this.#store.leases(this.#row.stack));
    return {
      ...status,
      ...(this.#startSpans.length === 0 ? {} : { startSpans: this.#startSpans }),
      ...(this.#listeners.length === 0 ? {} : { listeners: this.#listeners }),
      ...(this.#stall === undefined ? {} : { stall: this.#stall }),
    };
  }

  /** Until `endTiming`, spans count as parts of this replica's start. */
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

  get listeners(): readonly Listener[] {
    return this.#listeners;
  }

  /** Notes what listens in the guest, and tells if that has changed. */
  noteListeners(listeners: readonly Listener[]): void {
    if (JSON.stringify(listeners) !== JSON.stringify(this.#listeners)) {
      this.#listeners = listeners;
      this.emit('listening');
    }
  }

  /** Notes that the machine does nothing at the moment, or goes on. */
  noteStall(kind: Stall['kind'] | undefined, since = Date.now()): void {
    if (kind !== this.#stall?.kind) {
      this.#stall = kind && { kind, since };
      this.emit('update');
    }
  }

  get stall(): Stall | undefined {
    return this.#stall;
  }

  /** Since when the guest has not answered. */
  get silentSince(): number | undefined {
    return this.#stall?.kind === 'silent' ? this.#stall.since : undefined;
  }

  /** Notes since when the guest has not answered, or that it does again; one that is held for another reason cannot. */
  noteSilence(since: number | undefined): void {
    if (this.#stall?.kind !== 'full') {
      this.noteStall(since === undefined ? undefined : 'silent', since);
    }
  }

  /** Notes and tells that the machine is held because the host's disk, that of `home`, is full, or goes on. */
  noteHeld(held: boolean, home: string): void {
    if (this.#isOver || held === (this.#stall?.kind === 'full')) {
      return;
    }
    this.noteStall(held ? 'full' : undefined);
    const message = held
      ? `${this.#row.name} is held: the disk of ${home} is full. Nothing is lost; it goes on when there is space`
      : `${this.#row.name} goes on`;
    this.#bus.emit({ type: 'warning', message });
  }

  emit(action: ReplicaAction): void {
    if (!this.#isOver) {
      this.#bus.emit({ type: 'replica', action, replica: this.status() });
    }
  }

  /** Emits its removal, the last event of a replica. */
  destroyed(): void {
    this.#bus.emit({ type: 'replica', action: 'destroy', replica: this.status(), gone: true });
  }
}
