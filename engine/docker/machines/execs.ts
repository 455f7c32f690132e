import { randomBytes } from 'node:crypto';
import type { ExecOptions, ExecSession } from '../../model/types.ts';
import { ApiError } from '../http/errors.ts';

/** A program beside a workload, from its creation on; kept for as long as this process lives, as docker's daemon does. */
export interface ExecRecord {
  readonly id: string;
  /** Of its machine. */
  readonly machine: string;
  readonly stack: string;
  readonly options: Omit<ExecOptions, 'size' | 'detach'>;
  readonly detachKeys: string;
  state: 'created' | 'running' | 'ended';
  session: ExecSession | undefined;
  /** Of its terminal, from a client that said it before the program was there. */
  size?: { readonly columns: number; readonly rows: number };
  exitCode: number | null;
}

/** The oldest that have ended are forgotten beyond this. */
const MOST = 1000;

/** The programs that were started by `exec`. */
export class Execs {
  readonly #records = new Map<string, ExecRecord>();

  add(record: Pick<ExecRecord, 'machine' | 'stack' | 'options' | 'detachKeys'>): ExecRecord {
    const full: ExecRecord = { ...record, id: randomBytes(32).toString('hex'), state: 'created', session: undefined, exitCode: null };
    this.#records.set(full.id, full);
    if (this.#records.size > MOST) {
      const ended = [...this.#records.values()].find(({ state }) => state !== 'running');
      this.#records.delete(ended?.id ?? '');
    }
    return full;
  }

  /** Throws 404. */
  need(id: string): ExecRecord {
    const record = this.#records.get(id);
    if (record === undefined) {
      throw new ApiError(404, `No such exec instance: ${id}`);
    }
    return record;
  }

  /** Ids of those of a machine that run. */
  of(machine: string): string[] {
    return [...this.#records.values()].flatMap((record) => (record.machine === machine && record.state === 'running' ? [record.id] : []));
  }

  get running(): number {
    return [...this.#records.values()].filter(({ state }) => state === 'running').length;
  }
}
