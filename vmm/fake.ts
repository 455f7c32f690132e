import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type {
  DiskSpec,
  Machine,
  MachineExit,
  MachineRecord,
  MachineSpec,
  NicSpec,
  PluggedDisk,
  SavedMachine,
  Vmm,
} from './model/machine.ts';
import { nicPlaces, unusedPorts } from './qemu/nics.ts';

/** What a test can do to a fake machine, and see of it. */
export interface FakeMachine extends Machine {
  readonly paused: boolean;
  readonly started: boolean;
  /** Its guest is that of the machine of this name that was saved before. */
  readonly restored: boolean;
  /** As if the guest had powered off. */
  powerOff(): void;
  /** As if the VMM had been killed from outside. */
  crash(detail: string): void;
}

export interface FakeVmm extends Vmm {
  /** Living machines by name. */
  readonly machines: ReadonlyMap<string, FakeMachine>;
  /** Makes the next machine of that name a clone, unless it is asked to boot; `rooted`: of a template with a root, unless it may not be. */
  cloneNext(name: string, form?: 'rooted'): void;
  /** Templates whose clones could not be used. */
  readonly failedTemplates: readonly string[];
  /** Makes the next `save` of that machine fail. */
  failSave(name: string, error: Error): void;
  /** Makes the next `create` (or `restore`) of that name fail. */
  failNext(name: string, error: Error): void;
}

/** A VMM without machines, for tests of everything above it: state, exits and leftovers, but no guest. */
export const createFakeVmm = (): FakeVmm => {
  const machines = new Map<string, FakeMachineImpl>();
  const failures = new Map<string, Error>();
  const clones = new Map<string, 'plain' | 'rooted'>();
  const failedTemplates: string[] = [];
  const saveFailures = new Map<string, Error>();
  const add = (spec: MachineSpec, origin: Pick<MachineRecord, 'layout' | 'rooted'>): FakeMachineImpl => {
    const machine = new FakeMachineImpl(spec, origin, {
      onEnd: () => machines.delete(spec.name),
      onSave: () => throwOnce(saveFailures, spec.name),
    });
    machines.set(spec.name, machine);
    return machine;
  };
  return {
    name: 'fake',
    capabilities: { accelerated: false, pause: true, shares: true, hotplug: false, snapshot: false },
    machines,
    buildCommand: (spec) => ({ file: '/bin/true', args: [spec.name], env: {} }),
    cloneNext: (name, form) => clones.set(name, form ?? 'plain'),
    failedTemplates,
    templateFailed: async (template) => void failedTemplates.push(template),
    failSave: (name, error) => saveFailures.set(name, error),
    failNext: (name, error) => failures.set(name, error),
    create: async (spec, nicSockets, signal) => {
      for (const socket of nicSockets) {
        socket.destroy();
      }
      signal?.throwIfAborted();
      throwOnce(failures, spec.name);
      const clone = spec.fallback?.start === 'boot' ? undefined : clones.get(spec.name);
      clones.delete(spec.name);
      return add(spec, {
        layout: clone === undefined ? 'cold' : 'clone',
        ...(clone === 'rooted' && spec.fallback === undefined ? { rooted: true } : {}),
      });
    },
    restore: async (saved, nicSockets) => {
      for (const socket of nicSockets) {
        socket.destroy();
      }
      throwOnce(failures, saved.spec.name);
      const machine = add(saved.spec, { layout: saved.layout });
      Object.assign(machine, { paused: true, started: true, restored: true });
      return machine;
    },
    adopt: async (record) => machines.get(record.spec.name),
    sweep: async (record) => {
      machines.get(record.spec.name)?.crash('swept');
      rmSync(record.spec.runDir, { recursive: true, force: true });
    },
  };
};

const throwOnce = (failures: Map<string, Error>, name: string): void => {
  const failure = failures.get(name);
  failures.delete(name);
  if (failure !== undefined) {
    throw failure;
  }
};

class FakeMachineImpl implements FakeMachine {
  record: MachineRecord;
  readonly exited: Promise<MachineExit>;
  paused = false;
  started = false;
  restored = false;
  #end: (exit: MachineExit) => void = () => {};
  #onResume: () => void = () => {};
  readonly #hooks: { readonly onEnd: () => void; readonly onSave: () => void };

  constructor(
    spec: MachineSpec,
    origin: Pick<MachineRecord, 'layout' | 'rooted'>,
    hooks: { readonly onEnd: () => void; readonly onSave: () => void },
  ) {
    mkdirSync(spec.runDir, { recursive: true });
    writeFileSync(join(spec.runDir, 'fake'), '');
    this.record = {
      backend: 'fake',
      spec,
      process: { pid: 0, startTime: spec.name },
      helpers: [],
      agentSocket: join(spec.runDir, 'agent.sock'),
      controlSocket: join(spec.runDir, 'qmp.sock'),
      ...origin,
      programs: 'fake',
      ...(origin.layout === 'clone' ? { template: 'a template' } : {}),
    };
    this.#hooks = hooks;
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

  async plugNic({ mac }: Omit<NicSpec, 'id'>, socket: Socket): Promise<void> {
    socket.destroy();
    const nics = nicPlaces(this.record);
    this.record = { ...this.record, nics: [...nics, { id: `h${nics.length}`, mac, port: nics.length }] };
  }

  async unplugNic(mac: string): Promise<void> {
    this.record = { ...this.record, nics: nicPlaces(this.record).filter((each) => each.mac !== mac) };
  }

  async plugDisk(disk: DiskSpec): Promise<PluggedDisk> {
    const plugged = this.record.plugged ?? [];
    this.record = { ...this.record, plugged: [...plugged, { disk, port: unusedPorts(this.record)[0] ?? 0 }] };
    return { unplug: () => this.unplugDisk(disk.serial) };
  }

  async unplugDisk(serial: string): Promise<void> {
    this.record = { ...this.record, plugged: (this.record.plugged ?? []).filter(({ disk }) => disk.serial !== serial) };
  }

  onResume(listener: () => void): void {
    this.#onResume = listener;
  }

  async resume(): Promise<void> {
    if (this.paused) {
      this.paused = false;
      this.#onResume();
    }
  }

  async save(state: string): Promise<SavedMachine> {
    this.#hooks.onSave();
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

  async finish(): Promise<MachineExit> {
    this.powerOff();
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
    this.#hooks.onEnd();
  }
}
