import type { ChildProcess } from 'node:child_process';
import { open, rm, statfs } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { dirname } from 'node:path';
import { linkedController } from '../../base/abort.ts';
import { sleep } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import { syncFile, syncFolder } from '../../base/host/files.ts';
import { GONE_MS, isAlive, isGone, signalProcess } from '../../base/host/process.ts';
import { boundLog } from '../devices/console.ts';
import type {
  DiskPlace,
  DiskSpec,
  Machine,
  MachineExit,
  MachineRecord,
  MachineSpec,
  NicSpec,
  PluggedDisk,
  SavedMachine,
} from '../model/machine.ts';
import { saveWhole } from './clone.ts';
import { readCounters, readPss } from './counters.ts';
import { DiskHold } from './disk-hold.ts';
import { refuseOverFileLimit } from './file-limit.ts';
import { nicPlaces, plugNic, takesNics, unplugNic } from './nics.ts';
import { Ports } from './ports.ts';
import { childEnd, endLines, endWords, logRefused, removeLeftovers } from './process-end.ts';
import { type Qmp, type QmpEvent, unlessUnknown } from './qmp.ts';
import { CRASH_WORDS, DEAD_STATES, FULL_STATE } from './run-states.ts';

/** A process whose monitor closed is ending; one that is still there after this cannot be controlled any more. */
const ENDING_MS = 2_000;

/** From the end of what QEMU talks to, where QEMU ends first, to what QEMU says of its own end and to the closing of its monitor. */
const CLOSING_MS = 500;

/** When QEMU announces a NIC, in milliseconds: soon, and again in case the first announcement is lost. */
const ANNOUNCE = { initial: 10, max: 100, rounds: 3, step: 40 };

/** Free space below which a failed write of QEMU is taken for a full disk. */
const FULL_BYTES = 1 << 20;

export interface MachineParts {
  readonly child: ChildProcess | undefined;
  /** Those of its helpers that are children of this process. */
  readonly daemons?: readonly ChildProcess[];
  readonly freePorts: readonly number[];
  readonly launcher: string;
}

/** One QEMU process: spawned here, or taken over from another process. */
export class QemuMachine implements Machine {
  readonly exited: Promise<MachineExit>;
  readonly #qmp: Qmp;
  readonly #console: { close(): void };
  readonly #freePorts: readonly number[];
  readonly #launcher: string;
  #record: MachineRecord;
  #ports: Ports | undefined;
  #poweredOff = false;
  #killed = false;
  #released = false;
  #crash: string | undefined;
  #hasStopped = false;
  #isLooking = false;
  readonly #hold: DiskHold;
  #onHold: (held: boolean) => void = () => {};
  #onResume: () => void = () => {};

  /** `child` is absent for an adopted machine. `launcher` passes descriptors to it. */
  constructor(record: MachineRecord, qmp: Qmp, { child, daemons = [], freePorts, launcher }: MachineParts) {
    this.#freePorts = freePorts;
    this.#launcher = launcher;
    this.#record = record;
    this.#qmp = qmp;
    this.#console = boundLog(record.spec.consoleLog);
    this.#hold = new DiskHold({
      disks: writable(record.spec),
      proceed: () => this.#proceed(),
      onChange: (held) => this.#onHold(held),
    });
    qmp.onEvent((event) => this.#hear(event));
    this.exited = this.#watch(child);
    for (const daemon of daemons) {
      void childEnd(daemon).then(() => this.#endUnlessEnding());
    }
  }

  get record(): MachineRecord {
    return this.#record;
  }

  async start(signal?: AbortSignal): Promise<void> {
    await this.#qmp.run('cont', undefined, signal);
  }

  onHold(listener: (held: boolean) => void): void {
    this.#onHold = listener;
    if (this.#hold.isHeld) {
      listener(true);
    }
  }

  onResume(listener: () => void): void {
    this.#onResume = listener;
  }

  async pause(signal?: AbortSignal): Promise<void> {
    this.#hold.end();
    // Links first, because a network blocks as a whole if one of its machines does not read.
    await this.#setLinks(false, signal);
    try {
      await this.#qmp.run('stop', undefined, signal);
    } catch (error) {
      await this.#setLinks(true).catch(() => {});
      throw error;
    }
  }

  async resume(signal?: AbortSignal): Promise<void> {
    this.#hold.end();
    await this.#proceed(signal);
  }

  async #proceed(signal?: AbortSignal): Promise<void> {
    await this.#qmp.run('cont', undefined, signal);
    await this.#setLinks(true, signal);
    // A network that was restarted does not know yet where this machine is.
    await this.#qmp.run('announce-self', ANNOUNCE, signal);
  }

  async save(state: string, signal?: AbortSignal): Promise<SavedMachine> {
    const { backend, programs, layout, spec, nics, plugged = [] } = this.record;
    if (nics !== undefined || plugged.length > 0) {
      throw new HyprError('HYPR_UNSUPPORTED', `${spec.name} cannot be suspended: its networks or disks changed while it ran`, {
        hint: 'restart it, then it can be',
      });
    }
    const { status } = await this.#qmp.run('query-status', undefined, signal);
    if (status === 'io-error') {
      throw diskFull(state);
    }
    if (status !== 'paused') {
      throw new HyprError('HYPR_INTERNAL', `${spec.name} is ${status}, not paused: it cannot be saved`);
    }
    try {
      // QEMU writes into an existing file, so its mode keeps the memory private.
      await (await open(state, 'w', 0o600)).close();
      await saveWhole({ qmp: this.#qmp, state, signal, memoryMib: spec.memoryMib });
      // Its memory has what the disks lack, and knows what they have: after a power failure one is of no use without the other.
      await Promise.all([state, ...writable(spec)].map(syncFile));
      await syncFolder(dirname(state));
      return { backend, programs, layout, spec, state };
    } catch (error) {
      const full = await isFull(state);
      await rm(state, { force: true });
      throw full ? diskFull(state) : error;
    }
  }

  /** An abort cuts the wait short: the machine is killed at once. */
  async stop(timeout: number, signal?: AbortSignal): Promise<MachineExit> {
    const done = linkedController(signal);
    const late = sleep(timeout, done.signal).catch(() => {});
    const exit = await Promise.race([this.exited, late]);
    done.abort();
    return exit ?? this.kill();
  }

  async kill(): Promise<MachineExit> {
    this.#killed = true;
    signalProcess(this.record.process, 'SIGKILL');
    return this.exited;
  }

  finish(): Promise<MachineExit> {
    this.#poweredOff = true;
    signalProcess(this.record.process, 'SIGKILL');
    return this.exited;
  }

  endIfCrippled(): void {
    // Where QEMU is gone, too, it is the cause: its daemons end with it.
    if (isAlive(this.record.process) && !this.record.helpers.every(isAlive)) {
      this.#crash ??= 'the process that serves its shared folders (virtiofsd) ended';
      signalProcess(this.record.process, 'SIGKILL');
    }
  }

  /** A daemon of a share ends when QEMU does, too; QEMU has said so by then or says so in a moment, or its monitor closes if it was killed. */
  async #endUnlessEnding(): Promise<void> {
    const isClosed = await Promise.race([this.#qmp.closed.then(() => true), sleep(CLOSING_MS).then(() => false)]);
    const isEnding = isClosed || this.#poweredOff || this.#killed || this.#crash !== undefined;
    if (!isEnding && !this.#released) {
      this.endIfCrippled();
    }
  }

  async delete(): Promise<void> {
    await this.kill();
    await removeLeftovers(this.record);
  }

  async plugDisk(disk: DiskSpec, signal?: AbortSignal): Promise<PluggedDisk> {
    await refuseOverFileLimit(disk, this.record.process.pid);
    const place = await this.#portsNow().plug(disk, signal);
    this.#record = { ...this.#record, plugged: [...(this.#record.plugged ?? []), place] };
    return { unplug: (abort) => this.#unplug(place, abort) };
  }

  async unplugDisk(serial: string, signal?: AbortSignal): Promise<void> {
    const place = this.record.plugged?.find(({ disk }) => disk.serial === serial);
    if (place !== undefined) {
      await this.#unplug(place, signal);
    }
  }

  /** Known until it is out: it can be asked for again. */
  async #unplug(place: DiskPlace, signal: AbortSignal | undefined): Promise<void> {
    await this.#portsNow().unplug(place, signal);
    this.#record = { ...this.#record, plugged: (this.#record.plugged ?? []).filter((each) => each !== place) };
  }

  async plugNic(nic: Omit<NicSpec, 'id'>, socket: Socket, signal?: AbortSignal): Promise<void> {
    try {
      this.#needPorts();
      const before = nicPlaces(this.record);
      const place = await plugNic(nic, socket, { qmp: this.#qmp, ports: this.#portsNow(), launcher: this.#launcher }, signal);
      this.#record = { ...this.record, nics: [...before, place] };
    } finally {
      socket.destroy();
    }
  }

  async unplugNic(mac: string, signal?: AbortSignal): Promise<void> {
    this.#needPorts();
    const places = nicPlaces(this.record);
    const place = places.find((each) => each.mac.toLowerCase() === mac.toLowerCase());
    if (place !== undefined) {
      await unplugNic(place, { qmp: this.#qmp, ports: this.#portsNow() }, signal);
      this.#record = { ...this.record, nics: places.filter((each) => each !== place) };
    }
  }

  #portsNow(): Ports {
    this.#ports ??= new Ports(this.#qmp, this.#freePorts, this.record.spec.folder);
    return this.#ports;
  }

  #needPorts(): void {
    if (!takesNics(this.record)) {
      throw new HyprError('HYPR_UNSUPPORTED', `${this.record.spec.name} was started by an older hypr, without ports for network cards`, {
        hint: 'stop it first, then start it again',
      });
    }
  }

  async memory(): Promise<number> {
    const sizes = await Promise.all([this.record.process, ...this.record.helpers].map(readPss));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  counters(signal?: AbortSignal): Promise<Readonly<Record<string, number>>> {
    return readCounters(this.#qmp, signal);
  }

  release(): void {
    this.#released = true;
    this.#hold.end();
    this.#console.close();
    this.#qmp.close();
  }

  async #setLinks(up: boolean, signal?: AbortSignal): Promise<void> {
    for (const nic of this.record.nics ?? this.record.spec.nics) {
      await this.#qmp.run('set_link', { name: nic.id, up }, signal).catch(unlessUnknown);
    }
  }

  #hear({ event, data }: QmpEvent): void {
    if (event === 'SHUTDOWN') {
      const reason = String(data.reason);
      this.#poweredOff = reason === 'guest-shutdown';
      this.#crash ??= this.#poweredOff ? undefined : (CRASH_WORDS[reason] ?? reason);
    } else if (event === 'RESUME') {
      this.#onResume();
    } else if (event === 'STOP') {
      // This event also follows our own `stop`, in which case the state is `paused`.
      this.#hasStopped = true;
      void this.#lookWhy();
    }
  }

  /** One question at a time: a QEMU that was taken over may say that it has stopped without end, and answer nothing. */
  async #lookWhy(): Promise<void> {
    if (this.#isLooking) {
      return;
    }
    this.#isLooking = true;
    while (this.#hasStopped) {
      this.#hasStopped = false;
      await this.#endIfDead().catch(() => {});
    }
    this.#isLooking = false;
  }

  async #endIfDead(): Promise<void> {
    const { status } = await this.#qmp.run('query-status');
    const words = DEAD_STATES[status];
    if (status === FULL_STATE && this.record.spec.endWhenFull !== true) {
      await this.#setLinks(false).catch(() => {});
      if (isAlive(this.record.process)) {
        this.#hold.begin();
      }
    } else if (words !== undefined) {
      this.#crash = words;
      signalProcess(this.record.process, 'SIGKILL');
    }
  }

  /** The monitor closes when the process ends, after its last messages were read. */
  async #watch(child: ChildProcess | undefined): Promise<MachineExit> {
    const reaped = child === undefined ? undefined : childEnd(child);
    await this.#qmp.closed;
    if (this.#released) {
      return new Promise(() => {});
    }
    if (!(await isGone(this.record.process, ENDING_MS))) {
      this.#crash ??= 'QEMU closed its monitor';
      signalProcess(this.record.process, 'SIGKILL');
      await isGone(this.record.process, GONE_MS);
    }
    this.#hold.end();
    await Promise.race([reaped, sleep(GONE_MS)]);
    this.#console.close();
    await logRefused(this.record);
    return this.#describeExit(child);
  }

  async #describeExit(child: ChildProcess | undefined): Promise<MachineExit> {
    if (this.#poweredOff) {
      return { reason: 'off', lastLines: [] };
    }
    if (this.#killed) {
      return { reason: 'killed', lastLines: [] };
    }
    return {
      reason: 'crashed',
      detail: this.#crash ?? endWords(child),
      lastLines: await endLines(this.record),
    };
  }
}

const writable = ({ disks }: MachineSpec): string[] => disks.filter(({ readOnly }) => !readOnly).map(({ path }) => path);

const isFull = async (path: string): Promise<boolean> => {
  const { bavail, bsize } = await statfs(dirname(path));
  return bavail * bsize < FULL_BYTES;
};

const diskFull = (path: string): HyprError =>
  new HyprError('HYPR_DISK_FULL', `no space left for the memory of a machine on the disk of ${path}`, {
    hint: 'free as much as the machines of the stack use (hypr stats), e.g. with hypr system prune, and try again',
  });
