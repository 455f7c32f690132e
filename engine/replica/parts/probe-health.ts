import { markTrace } from '../../../base/trace/trace.ts';
import { withVariables } from '../../machine/authority.ts';
import { monitorHealth, type ProbeResult } from '../../machine/health.ts';
import type { Health } from '../../model/events.ts';
import type { Run } from '../boot/run.ts';
import type { ReplicaRecord } from './record.ts';

/** Probes the health of a replica while it runs, and records changes. */
export class ReplicaHealth {
  readonly #record: ReplicaRecord;
  #last: ProbeResult | undefined;
  /** Whether somebody was told that the current run is unhealthy: a replica may be taken over while it is. */
  #isTold = false;
  #healthyAt: number | undefined;
  #wellForMs = 0;
  /** Called once a run becomes unhealthy, or is found to be. */
  onUnhealthy: () => void = () => {};

  constructor(record: ReplicaRecord) {
    this.#record = record;
  }

  /** The last probe of the current run. */
  get last(): ProbeResult | undefined {
    return this.#last;
  }

  /** How long the current run was healthy before it became unhealthy, in milliseconds. */
  get wellForMs(): number {
    return this.#wellForMs;
  }

  /** Probes until the run ends. */
  watch(run: Run): void {
    this.#last = undefined;
    this.#isTold = false;
    this.#wellForMs = 0;
    const { spec, health, startedAt } = this.#record.row;
    this.#healthyAt = health === 'healthy' ? Date.now() : undefined;
    if (spec.health !== undefined) {
      void monitorHealth({
        spec: spec.health,
        guest: run.guest,
        process: withVariables(spec.process, run.env),
        initial: health === 'none' ? 'starting' : health,
        startedAt: startedAt ?? Date.now(),
        signal: run.abort.signal,
        suspended: () => this.#record.row.state === 'paused',
        onProbe: (now, probe) => this.#onProbe(now, probe),
      });
    }
  }

  #onProbe(probed: Health, probe: ProbeResult): void {
    this.#last = probe;
    // Probes fail one by one until it counts; a guest that answers nothing is unhealthy now.
    const isSilent = probe.code !== 0 && this.#record.silentSince !== undefined;
    const health = isSilent && probed === 'healthy' ? 'unhealthy' : probed;
    markTrace(`probe: ${probe.code === 0 ? 'success' : 'failure'}, ${probe.duration} ms`, this.#record.row.name);
    if (health !== this.#record.row.health && this.#record.row.state === 'running') {
      if (health === 'healthy' && this.#record.row.health === 'starting') {
        this.#record.noteSpan({ name: 'healthy', ms: Date.now() - (this.#record.row.startedAt ?? Date.now()) });
      }
      this.#turn(health, health === 'unhealthy' ? `health check: ${lastLine(probe)}` : undefined);
    } else if (health === 'unhealthy' && this.#record.row.state === 'running') {
      this.#tell();
    }
  }

  /** The guest of a healthy run answers nothing: it is unhealthy now. */
  silent(): void {
    if (this.#record.row.health === 'healthy') {
      this.#turn('unhealthy', 'the guest does not respond');
    }
  }

  #turn(health: Health, reason: string | undefined): void {
    this.#record.update({ health, reason });
    this.#record.emit('health_status');
    if (health === 'unhealthy') {
      this.#wellForMs = this.#healthyAt === undefined ? 0 : Date.now() - this.#healthyAt;
      this.#healthyAt = undefined;
      this.#tell();
    } else {
      this.#healthyAt = health === 'healthy' ? Date.now() : undefined;
      this.#isTold = false;
    }
  }

  /** Whoever was told that the run is unhealthy could do nothing: the next probe that fails tells it again. */
  tellAgain(): void {
    this.#isTold = false;
  }

  #tell(): void {
    if (!this.#isTold) {
      this.#isTold = true;
      this.onUnhealthy();
    }
  }
}

const lastLine = (probe: ProbeResult): string => probe.output.trim().split('\n').at(-1) || `exit code ${probe.code}`;
