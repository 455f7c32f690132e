import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine, MachineExit, MachineRecord, MachineSpec, SavedMachine, Vmm } from './machine.ts';

/** What a test can do to a fake machine, and see of it. */
export interface FakeMachine extends Machine {
  readonly paused: boolean;
  readonly started: boolean;
  /** As if the guest had powered off. */
  powerOff(): void;
  /** As if the VMM had been killed from outside. */
  crash(detail: string): void;
}

export interface FakeVmm extends Vmm {
  /** Living machines by name. */
  readonly machines: ReadonlyMap<string, FakeMachine>;
  /** Makes the next `create` of that name fail. */
  failNext(name: string, error: Error): void;
}

/** A VMM without machines, for tests of everything above it: state, exits and leftovers, but no guest. */
export const createFakeVmm = (): FakeVmm => {
  const machines = new Map<string, FakeMachineImpl>();
  const failures = new Map<string, Error>();
  return {
    name: 'fake',
    capabilities: { accelerated: false, pause: true, shares: true, hotplug: false, snapshot: false },
    machines,
    buildCommand: (spec) => ({ file: '/bin/true', args: [spec.name], env: {} }),
    failNext: (name, error) => failures.set(name, error),
    create: async (spec, nicSockets, signal) => {
      for (const socket of nicSockets) {
        socket.destroy();
      }
      signal?.throwIfAborted();
      const failure = failures.get(spec.name);
      failures.delete(spec.name);
      if (failure !== undefined) {
        throw failure;
      }
      const machine = new FakeMachineImpl(spec, () => machines.delete(spec.name));
      machines.set(spec.name, machine);
      return machine;
    },
    restore: async (saved, nicSockets) => {
      for (const socket of nicSockets) {
        socket.destroy();
      }
      const machine = new FakeMachineImpl(saved.spec, () => machines.delete(saved.spec.name));
      machine.paused = true;
      machine.started = true;
      machines.set(saved.spec.name, machine);
      return machine;
    },
    adopt: async (record) => machines.get(record.spec.name),
    sweep: async (record) => {
      machines.get(record.spec.name)?.crash('swept');
      rmSync(record.spec.runDir, { recursive: true, force: true });
    },
  };
};

class FakeMachineImpl implements FakeMachine {
  readonly record: MachineRecord;
  readonly exited: Promise<MachineExit>;
  paused = false;
  started = false;
  #end: (exit: MachineExit) => void = () => {};
  readonly #onEnd: () => void;

  constructor(spec: MachineSpec, onEnd: () => void) {
    mkdirSync(spec.runDir, { recursive: true });
    writeFileSync(join(spec.runDir, 'fake'), '');
    this.record = {
      backend: 'fake',
      spec,
      process: { pid: 0, startTime: spec.name },
      helpers: [],
      agentSocket: join(spec.runDir, 'agent.sock'),
      controlSocket: join(spec.runDir, 'qmp.sock'),
      layout: 'cold',
      programs: 'fake',
    };
    this.#onEnd = onEnd;
    this.exited = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  async start(): Promise<void> {
    this.started = true;
  }

  async pause(): Promise<void> {
    this.paused = true;
  }

  async resume(): Promise<void> {
    this.paused = false;
  }

  async save(state: string): Promise<SavedMachine> {
    writeFileSync(state, '');
    const { backend, programs, layout, spec } = this.record;
    return { backend, programs, layout, spec, state };
  }

  powerOff(): void {
    this.#finish({ reason: 'off', lastLines: [] });
  }

  crash(detail: string): void {
    this.#finish({ reason: 'crashed', detail, lastLines: ['last words'] });
  }

  async stop(timeout: number): Promise<MachineExit> {
    const timer = setTimeout(() => void this.kill(), timeout);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  async kill(): Promise<MachineExit> {
    this.#finish({ reason: 'killed', lastLines: [] });
    return this.exited;
  }

  async delete(): Promise<void> {
    await this.kill();
    rmSync(this.record.spec.runDir, { recursive: true, force: true });
  }

  async memory(): Promise<number> {
    return 0;
  }

  release(): void {}

  #finish(exit: MachineExit): void {
    this.#end(exit);
    this.#onEnd();
  }
}
