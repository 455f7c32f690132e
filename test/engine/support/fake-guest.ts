import { type Duplex, duplexPair } from 'node:stream';
import { HyprError } from '../../../base/errors.ts';
import { AsyncQueue } from '../../../base/queue.ts';
import type {
  GuestClient,
  GuestEvent,
  GuestInfo,
  GuestProcess,
  GuestStats,
  MachineConfig,
  NameTable,
  NicConfig,
  OutputChunk,
  PowerOffOptions,
  ProcessExit,
  ProcessSpec,
  ResolverConfig,
  ShareEdits,
} from '../../../guest/types.ts';
import type { VolumeStream } from '../../../guest/volume-stream.ts';
import type { FakeMachine } from '../../../vmm/fake.ts';
import { Cue } from './cue.ts';

/** What a service's program does; everything may be left out. */
export interface Behaviour {
  /** The agent answers once this resolved. */
  readonly boot?: Promise<unknown>;
  readonly prepare?: Promise<unknown>;
  /** The start of the workload waits for this. */
  readonly starting?: Promise<unknown>;
  readonly startError?: Error;
  /** As soon as the workload runs. */
  readonly onStart?: (guest: FakeGuest) => void;
  /** Default: ends with 128 + signal. */
  readonly onSignal?: (signal: number, guest: FakeGuest) => void;
  /** The answer to the nth health probe or exec, from 1. Default 0. */
  readonly probe?: (count: number, spec: ProcessSpec) => ProbeAnswer | Promise<ProbeAnswer>;
  /** Execs that are no probes: driven by the test. */
  readonly spawn?: (spec: ProcessSpec, process: FakeProcess) => void;
}

type ProbeAnswer = number | { readonly code: number; readonly output: string };

const lost = () => new HyprError('GUEST_LOST', 'the channel to the guest broke');

type Offsets = Record<OutputChunk['stream'], number>;

const nextChunk = (offsets: Offsets, text: string, stream: OutputChunk['stream'], time: number): OutputChunk => {
  const chunk = { stream, data: Buffer.from(text), time, offset: offsets[stream] };
  offsets[stream] += chunk.data.length;
  return chunk;
};

/** A program in a fake guest, as the test sees it. */
export class FakeProcess implements GuestProcess {
  readonly pid: number;
  readonly offsets: Offsets;
  readonly output = new AsyncQueue<OutputChunk>();
  readonly exited: Promise<ProcessExit>;
  readonly input: string[] = [];
  readonly signals: number[] = [];
  readonly sizes: Array<{ columns: number; rows: number }> = [];
  readonly inputClosed = new Cue();
  /** Everything it was given to print, and how far the host has kept each stream. */
  readonly printed: OutputChunk[] = [];
  readonly kept = { stdout: 0, stderr: 0 };
  isHeld = false;
  readonly #ended = new Cue<ProcessExit>();
  readonly #onSignal: (signal: number) => void;
  #writeError: Error | undefined;
  #failure: Error | undefined;

  constructor(
    pid: number,
    onSignal: (signal: number) => void = (signal) => this.end({ code: 128 + signal, signal, oomKilled: false }),
    offsets: Offsets = { stdout: 0, stderr: 0 },
  ) {
    this.pid = pid;
    this.offsets = offsets;
    this.#onSignal = onSignal;
    this.exited = this.#ended.promise;
    this.exited.catch(() => {});
  }

  print(text: string, stream: OutputChunk['stream'] = 'stdout', time = Date.now()): void {
    this.give(nextChunk(this.offsets, text, stream, time));
  }

  give(chunk: OutputChunk): void {
    this.printed.push(chunk);
    void this.output.push(chunk);
  }

  holdOutput(): (stream: OutputChunk['stream'], offset: number) => void {
    this.isHeld = true;
    return (stream, offset) => {
      this.kept[stream] = Math.max(this.kept[stream], offset);
    };
  }

  /** What the next host gets again. */
  unkept(): OutputChunk[] {
    const kept = ({ stream, offset, data }: OutputChunk) => offset + data.length <= this.kept[stream];
    return this.isHeld ? this.printed.filter((chunk) => !kept(chunk)) : this.output.takeAll();
  }

  end(exit: ProcessExit): void {
    this.output.end();
    this.#ended.resolve(exit);
  }

  fail(error: Error): void {
    this.#failure = error;
    this.output.fail(error);
    this.#ended.reject(error);
  }

  /** From now on nobody reads its input. */
  refuseInput(): void {
    this.#writeError = new HyprError('GUEST_EXEC', 'the program does not read its input any more');
  }

  async write(data: Uint8Array): Promise<void> {
    if (this.#writeError !== undefined) {
      throw this.#writeError;
    }
    this.input.push(Buffer.from(data).toString());
  }

  async closeStdin(): Promise<void> {
    this.inputClosed.resolve();
  }

  async signal(signal: number): Promise<void> {
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
    this.signals.push(signal);
    this.#onSignal(signal);
  }

  async resize(size: { columns: number; rows: number }): Promise<void> {
    this.sizes.push(size);
  }
}

/** What lives in a fake machine: it goes on when the host lets go of it, and is found again by another connection. */
export class FakeGuest {
  readonly name: string;
  readonly machine: FakeMachine;
  readonly behaviour: Behaviour;
  readonly pushed: NameTable[] = [];
  readonly plugged: Array<{ readonly nics: readonly NicConfig[]; readonly upstreams: readonly string[] }> = [];
  readonly powerOffs: PowerOffOptions[] = [];
  readonly clocks: number[] = [];
  readonly edits: ShareEdits[] = [];
  /** How often it was asked to make synced folders equal. */
  settles = 0;
  /** Connections into it: the far ends. */
  readonly dialled: Array<{ port: number; far: Duplex }> = [];
  readonly probes: ProcessSpec[] = [];
  /** Serials of disks that it lends, tags of what it borrows. */
  readonly lent: string[] = [];
  readonly borrowed: string[] = [];
  config: MachineConfig | undefined;
  workload: ProcessSpec | undefined;
  exit: ProcessExit | undefined;
  #client: FakeClient | undefined;
  /** Printed while nobody was connected, or by a workload nobody attached to. */
  #backlog: OutputChunk[] = [];
  offsets: Offsets = { stdout: 0, stderr: 0 };
  #ending: ((exit: ProcessExit) => void) | undefined;

  constructor(name: string, machine: FakeMachine, behaviour: Behaviour) {
    this.name = name;
    this.machine = machine;
    this.behaviour = behaviour;
    void machine.exited.then(() => this.#client?.break());
  }

  /** Further services in its machine, by name; made when one is opened first, as the newest that was ended is. */
  readonly members = new Map<string, FakeGuest>();
  memberBehaviour: Behaviour = {};

  member(name: string): FakeGuest {
    const known = this.members.get(name);
    if (known !== undefined) {
      return known;
    }
    const gone = new Cue();
    const part = { exited: Promise.race([gone.promise, this.machine.exited]), paused: false, powerOff: () => gone.resolve() };
    const guest = new FakeGuest(name, part as unknown as FakeMachine, this.memberBehaviour);
    this.members.set(name, guest);
    void part.exited.then(() => this.members.delete(name));
    return guest;
  }

  endMember(name: string): void {
    this.members.get(name)?.machine.powerOff();
  }

  get isRunning(): boolean {
    return this.workload !== undefined && this.exit === undefined;
  }

  /** The same guest in a machine that was restored. */
  moveTo(machine: FakeMachine): FakeGuest {
    const moved = new FakeGuest(this.name, machine, this.behaviour);
    moved.config = this.config;
    moved.workload = this.workload;
    moved.exit = this.exit;
    moved.#backlog = this.#backlog;
    moved.offsets = this.offsets;
    return moved;
  }

  connect(): FakeClient {
    this.#client?.break();
    this.#client = new FakeClient(this);
    return this.#client;
  }

  /** The host's side of the workload. */
  get process(): FakeProcess | undefined {
    return this.#client?.workload;
  }

  print(text: string, stream: OutputChunk['stream'] = 'stdout', time = Date.now()): void {
    if (this.process !== undefined) {
      this.process.print(text, stream, time);
    } else {
      this.#backlog.push(nextChunk(this.offsets, text, stream, time));
    }
  }

  /** The workload ends. */
  end(code: number, more: Partial<ProcessExit> = {}): void {
    if (!this.isRunning) {
      return;
    }
    this.exit = { code, oomKilled: false, ...more };
    this.process?.end(this.exit);
    this.#ending?.(this.exit);
  }

  tell(event: GuestEvent): void {
    this.#client?.tell(event);
  }

  listen(port: number): void {
    this.#client?.tell({ type: 'listening', port, protocol: 'tcp', address: '0.0.0.0' });
  }

  /** The channel breaks, the machine goes on. */
  breakChannel(): void {
    this.#client?.break();
  }

  receive(signal: number): void {
    const { onSignal } = this.behaviour;
    if (signal === 9 || onSignal === undefined) {
      this.end(128 + signal, { signal });
    } else {
      onSignal(signal, this);
    }
  }

  /** A process object for the workload, with everything nobody has read yet. */
  attach(): FakeProcess {
    const process = new FakeProcess(100, (signal) => this.receive(signal), this.offsets);
    for (const chunk of this.#backlog.splice(0)) {
      process.give(chunk);
    }
    if (this.exit !== undefined) {
      process.end(this.exit);
    }
    return process;
  }

  /** Its end of a lent volume, which is silent and ends with the connection. */
  volumeEnd(closed: Promise<void>): VolumeStream {
    const output = new AsyncQueue<Uint8Array>();
    void closed.then(() => output.fail(lost()));
    return { output, write: async () => {}, close: () => output.end() };
  }

  detached(process: FakeProcess): void {
    this.#backlog.push(...process.unkept());
  }

  async shutDown(options: PowerOffOptions): Promise<ProcessExit | undefined> {
    this.powerOffs.push(options);
    if (this.isRunning) {
      const ended = new Promise<ProcessExit>((resolve) => {
        this.#ending = resolve;
      });
      this.receive(options.stopSignal);
      const timer = setTimeout(() => this.end(137, { signal: 9 }), options.graceMs);
      await ended;
      clearTimeout(timer);
    }
    this.machine.powerOff();
    return this.exit;
  }
}

/** One connection of the host. */
export class FakeClient implements GuestClient {
  readonly closed: Promise<void>;
  workload: FakeProcess | undefined;
  readonly #guest: FakeGuest;
  readonly #events = new Set<AsyncQueue<GuestEvent>>();
  readonly #closed = new Cue();
  readonly #children = new Set<FakeProcess>();
  #broken = false;

  constructor(guest: FakeGuest) {
    this.#guest = guest;
    this.closed = this.#closed.promise;
  }

  get info(): GuestInfo {
    const { config, workload, exit } = this.#guest;
    const state = exit !== undefined ? 'exited' : workload !== undefined ? 'running' : config !== undefined ? 'prepared' : 'waiting';
    return { protocol: 1, agent: 'fake', kernel: '6.12', state, bootMs: 1 };
  }

  tell(event: GuestEvent): void {
    for (const queue of this.#events) {
      queue.push(event);
    }
  }

  break(): void {
    if (this.#broken) {
      return;
    }
    this.#broken = true;
    if (this.workload !== undefined) {
      this.#guest.detached(this.workload);
      this.workload.fail(lost());
      this.workload = undefined;
    }
    for (const child of this.#children) {
      child.fail(lost());
    }
    for (const queue of this.#events) {
      queue.end();
    }
    this.#closed.resolve();
  }

  async mountRoot(): Promise<void> {}

  async forget(): Promise<void> {}

  async prepare(config: MachineConfig, signal?: AbortSignal): Promise<void> {
    await this.#answer(this.#guest.behaviour.prepare, signal);
    this.#guest.config = config;
  }

  async startWorkload(spec: ProcessSpec, signal?: AbortSignal): Promise<GuestProcess> {
    await this.#answer(this.#guest.behaviour.starting, signal);
    if (this.#guest.behaviour.startError !== undefined) {
      throw this.#guest.behaviour.startError;
    }
    this.#guest.workload = spec;
    this.workload = this.#guest.attach();
    this.#guest.behaviour.onStart?.(this.#guest);
    return this.workload;
  }

  async attachWorkload(signal?: AbortSignal): Promise<GuestProcess> {
    await this.#answer(undefined, signal);
    this.workload = this.#guest.attach();
    return this.workload;
  }

  async spawn(spec: ProcessSpec, signal?: AbortSignal): Promise<GuestProcess> {
    await this.#answer(undefined, signal);
    const process = new FakeProcess(200 + this.#children.size);
    this.#children.add(process);
    if (this.#guest.behaviour.spawn !== undefined) {
      this.#guest.behaviour.spawn(spec, process);
      return process;
    }
    this.#guest.probes.push(spec);
    const answer = await (this.#guest.behaviour.probe?.(this.#guest.probes.length, spec) ?? 0);
    const { code, output } = typeof answer === 'number' ? { code: answer, output: '' } : answer;
    if (output !== '') {
      process.print(output);
    }
    process.end({ code, oomKilled: false });
    return process;
  }

  async addNics(nics: readonly NicConfig[], resolver: Pick<ResolverConfig, 'search' | 'upstreams'>): Promise<void> {
    await this.#answer();
    this.#guest.plugged.push({ nics, upstreams: resolver.upstreams });
  }

  async setNames(names: NameTable): Promise<void> {
    await this.#answer();
    this.#guest.pushed.push(names);
  }

  async setClock(now: number): Promise<void> {
    await this.#answer();
    this.#guest.clocks.push(now);
  }

  async settle(signal?: AbortSignal): Promise<void> {
    await this.#answer(undefined, signal);
    this.#guest.settles++;
  }

  async tellEdits(edits: ShareEdits): Promise<void> {
    await this.#answer();
    this.#guest.edits.push(edits);
  }

  async writeFiles(): Promise<void> {}
  async writeTar(): Promise<void> {}
  async *readTar(): AsyncIterable<Uint8Array> {}
  async *readLayer(): AsyncIterable<Uint8Array> {}
  async stageFolder(): Promise<void> {}
  async releaseStep(): Promise<void> {}
  async dial(port: number): Promise<Duplex> {
    const [near, far] = duplexPair();
    this.#guest.dialled.push({ port, far });
    return near;
  }
  async openMember(name: string): Promise<FakeClient> {
    await this.#answer();
    return this.#guest.member(name).connect();
  }
  async endMember(name: string): Promise<void> {
    this.#guest.endMember(name);
  }
  async relay(): Promise<{ close(): Promise<void> }> {
    return { close: async () => {} };
  }
  lend(disk: string, { readOnly }: { readonly readOnly: boolean }): VolumeStream {
    this.#guest.lent.push(readOnly ? `${disk} read-only` : disk);
    return this.#guest.volumeEnd(this.closed);
  }
  async borrow(tag: string): Promise<VolumeStream> {
    await this.#answer();
    this.#guest.borrowed.push(tag);
    return this.#guest.volumeEnd(this.closed);
  }
  async pushLayer(): Promise<void> {}
  async dropLayers(): Promise<void> {}
  async sync(): Promise<void> {}

  async stats(): Promise<GuestStats> {
    await this.#answer();
    return { cpuMs: 5, memoryUsed: 1, memoryTotal: 2, netRx: 3, netTx: 4, blockRead: 5, blockWrite: 6, pids: 7 };
  }

  async *events(): AsyncIterable<GuestEvent> {
    const queue = new AsyncQueue<GuestEvent>();
    this.#events.add(queue);
    if (this.#broken) {
      queue.end();
    }
    try {
      yield* queue;
    } finally {
      this.#events.delete(queue);
    }
  }

  async powerOff(options: PowerOffOptions, signal?: AbortSignal): Promise<ProcessExit | undefined> {
    await this.#answer(undefined, signal);
    return this.#guest.shutDown(options);
  }

  async close(): Promise<void> {
    this.break();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Every order fails on a broken channel and hangs in a paused machine. */
  async #answer(cue?: Promise<unknown>, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#broken) {
      throw lost();
    }
    const waits = [...(cue ? [cue] : []), ...(this.#guest.machine.paused ? [new Promise<never>(() => {})] : [])];
    if (waits.length === 0) {
      return;
    }
    const broken = this.closed.then(() => {
      throw lost();
    });
    const aborted = new Promise<never>((_, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    await Promise.race([Promise.all(waits), broken, aborted]);
  }
}
