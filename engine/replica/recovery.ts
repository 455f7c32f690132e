import { neverAborts } from '../../base/abort.ts';
import { messageOf } from '../../base/errors.ts';
import { sweepPendingProcesses } from '../../base/host/pending-processes.ts';
import { logger } from '../../base/log.ts';
import { nextState } from '../model/lifecycle.ts';
import type { VmRow } from '../state/records.ts';
import { type Adopted, type Adoption, keptMessage } from './adoption.ts';
import { machineDir } from './boot/run.ts';
import type { ReplicaEnd } from './end.ts';
import type { ReplicaParts } from './parts/parts.ts';
import type { ReplicaRestarts } from './parts/restarts.ts';
import { isAtRest, lostPatch, unbootedPatch } from './parts/status.ts';

const log = logger('replica');

interface Deeds {
  readonly adoption: Adoption;
  readonly end: ReplicaEnd;
  readonly restarts: ReplicaRestarts;
  /** The replica's own graceful stop. */
  readonly stop: (options: { graceMs: number; byUser: boolean }) => Promise<void>;
}

/** What a supervisor does about a replica that an earlier one left, or that came back from disk. */
export class ReplicaRecovery {
  readonly #parts: ReplicaParts;
  readonly #deeds: Deeds;

  constructor(parts: ReplicaParts, deeds: Deeds) {
    this.#parts = parts;
    this.#deeds = deeds;
  }

  get #row(): VmRow {
    return this.#parts.record.row;
  }

  /** Takes over its run; a machine that does not answer for now is waited for (`adoption.ended`). */
  adopt(signal: AbortSignal): Promise<Adopted> {
    return this.#deeds.adoption.begin(signal);
  }

  /** Its machine runs again from disk and does not answer yet: all it has is in that machine. */
  async awaitResumed(): Promise<void> {
    const { name } = this.#row;
    const { adoption } = this.#deeds;
    const found = await adoption.begin(neverAborts());
    if (found === 'silent' || found === 'kept') {
      this.#parts.context.bus.emit({ type: 'warning', message: silenceMessage(this.#row, adoption.keptFor) });
    }
    void adoption.ended().then(async (ended) => {
      if (ended === 'gone') {
        this.lost('its machine ended before it answered');
      } else if (ended === 'adopted' && this.#row.state !== 'paused') {
        await this.#parts.run?.guest
          .setClock(Date.now())
          .catch((error: unknown) => log.debug('clock not set', { replica: name, error: messageOf(error) }));
      }
      this.settled();
    });
  }

  /** Goes on with a stop that the earlier supervisor had begun. */
  resumeStop(): void {
    const { name, state, stoppedByUser, spec } = this.#row;
    if (state === 'stopping') {
      this.#deeds
        .stop({ graceMs: spec.stopGraceMs, byUser: stoppedByUser })
        .catch((error: unknown) => log.warn('a stop was not finished', { replica: name, error: messageOf(error) }));
    }
  }

  /** A restart that the earlier supervisor had decided on. */
  resumeRestart(): void {
    this.#deeds.restarts.after(0);
  }

  /** Records that the machine vanished before it was taken over, and applies the restart policy. */
  lost(reason: string): void {
    const { record } = this.#parts;
    if (this.#row.startedAt === undefined) {
      record.update({ ...unbootedPatch(this.#row), health: 'none' });
      return;
    }
    const { patch, begin } = this.#deeds.restarts.byPolicy(lostPatch(reason));
    record.update(patch);
    record.emit('die');
    begin();
  }

  /** The machine that it shares was lost or is not taken over: it starts with it again, not by its own restart policy. */
  lostWithOwner(reason: string): void {
    const { record } = this.#parts;
    const { startedAt, stoppedByUser, state } = this.#row;
    if (startedAt === undefined) {
      this.lost(reason);
      return;
    }
    this.#parts.startsWithOwner = !stoppedByUser;
    if (state === 'restarting') {
      record.update({ state: nextState('restarting', 'stop'), machine: undefined });
      return;
    }
    record.update(lostPatch(reason));
    record.emit('die');
  }

  /** A machine that did not answer at first was taken over or recorded as lost. */
  settled(): void {
    this.#deeds.end.leaveIfOver();
    this.#parts.context.onChange();
  }

  /** Ends a machine for its files alone that a killed supervisor left (at-rest.ts). */
  async sweepAtRest(): Promise<void> {
    if (isAtRest(this.#row, this.#parts.run) && this.#row.machine === undefined) {
      await sweepPendingProcesses(machineDir(this.#row, this.#parts.context.platform));
    }
  }
}

/** What is said about a machine that lives and does not answer; `kept`: why it cannot be taken over. */
export const silenceMessage = (row: VmRow, kept: string | undefined): string =>
  kept === undefined ? `${row.name} does not respond; it is taken over as soon as it does` : keptMessage(row, kept);
