import type { ChildProcess } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../base/deadline.ts';
import { isAlive, type ProcessIdentity, signalProcess } from '../../base/process.ts';
import { lastLines } from '../console.ts';
import type { Machine, MachineExit, MachineRecord } from '../machine.ts';
import type { Qmp } from './qmp.ts';

/** After SIGKILL, or after the monitor closed, for the kernel to take the process away. */
const GONE_MS = 10_000;

/** One QEMU process: spawned here, or taken over from another process. */
export class QemuMachine implements Machine {
  readonly record: MachineRecord;
  readonly exited: Promise<MachineExit>;
  readonly #qmp: Qmp;
  #guestPoweredOff = false;
  #killed = false;
  #shutdownReason: string | undefined;

  /** `child` is absent for an adopted machine. */
  constructor(record: MachineRecord, qmp: Qmp, child: ChildProcess | undefined) {
    this.record = record;
    this.#qmp = qmp;
    qmp.onEvent(({ event, data }) => {
      if (event === 'SHUTDOWN') {
        this.#shutdownReason = String(data.reason);
        this.#guestPoweredOff = data.reason === 'guest-shutdown';
      }
    });
    this.exited = this.#watch(child);
  }

  async start(): Promise<void> {
    await this.#qmp.run('cont');
  }

  async pause(): Promise<void> {
    // Links first: a network blocks as a whole when one of its machines does not read.
    await this.#setLinks(false);
    await this.#qmp.run('stop');
  }

  async resume(): Promise<void> {
    await this.#qmp.run('cont');
    await this.#setLinks(true);
  }

  async stop(timeout: number, signal?: AbortSignal): Promise<MachineExit> {
    const timer = new AbortController();
    const late = sleep(timeout, signal ? AbortSignal.any([signal, timer.signal]) : timer.signal).then(
      () => undefined,
      () => undefined,
    );
    const exit = await Promise.race([this.exited, late]);
    timer.abort();
    return exit ?? this.kill();
  }

  async kill(): Promise<MachineExit> {
    this.#killed = true;
    signalProcess(this.record.process, 'SIGKILL');
    return this.exited;
  }

  async delete(): Promise<void> {
    await this.kill();
    await removeLeftovers(this.record);
  }

  async memory(): Promise<number> {
    const text = await readFile(`/proc/${this.record.process.pid}/smaps_rollup`, 'utf8').catch(() => '');
    return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
  }

  release(): void {
    this.#qmp.close();
  }

  async #setLinks(up: boolean): Promise<void> {
    for (const nic of this.record.spec.nics) {
      await this.#qmp.run('set_link', { name: nic.id, up });
    }
  }

  /** The child's end is an event; an adopted process's is its monitor closing. */
  async #watch(child: ChildProcess | undefined): Promise<MachineExit> {
    if (child === undefined) {
      await this.#qmp.closed;
      await awaitGone(this.record.process);
    } else if (child.exitCode === null && child.signalCode === null) {
      await new Promise((resolve) => child.once('exit', resolve));
    }
    this.#qmp.close();
    return this.#describeExit(child);
  }

  async #describeExit(child: ChildProcess | undefined): Promise<MachineExit> {
    if (this.#guestPoweredOff) {
      return { reason: 'off', lastLines: [] };
    }
    if (this.#killed) {
      return { reason: 'killed', lastLines: [] };
    }
    const detail = this.#shutdownReason ?? (child?.signalCode ? `QEMU was killed by ${child.signalCode}` : 'QEMU ended unexpectedly');
    return {
      reason: 'crashed',
      detail,
      lastLines: [...(await lastLines(stderrPath(this.record), 5)), ...(await lastLines(this.record.spec.consoleLog, 10))],
    };
  }
}

export const stderrPath = (record: Pick<MachineRecord, 'spec'>): string => join(record.spec.runDir, 'qemu.err');

/** Helpers and the run folder of a machine whose process is gone. */
export const removeLeftovers = async (record: MachineRecord): Promise<void> => {
  for (const helper of record.helpers) {
    signalProcess(helper, 'SIGKILL');
  }
  await Promise.all(record.helpers.map(awaitGone));
  await rm(record.spec.runDir, { recursive: true, force: true });
};

/** The end of a process that is not our child gives no event; it is milliseconds away when this is called. */
export const awaitGone = async (identity: ProcessIdentity): Promise<void> => {
  const deadline = Date.now() + GONE_MS;
  while (isAlive(identity) && Date.now() < deadline) {
    await sleep(5);
  }
};
