import type { BuildDisk, BuildMachine, BuildMachineOptions, BuildMachines } from '../../../builder/model/types.ts';
import type { LayerItem } from '../../../builder/solver/layer/tar-write.ts';
import { writeLayer } from '../../../builder/solver/layer/tar-write.ts';
import type { FileSpec, GuestClient, OutputChunk, ProcessSpec, RelayPlace } from '../../../guest/types.ts';

export interface RunResult {
  readonly files?: Readonly<Record<string, string>>;
  readonly output?: string;
  readonly code?: number;
  readonly oomKilled?: boolean;
  readonly disk?: { readonly diskFree: number; readonly diskTotal: number };
  /** Runs until it is killed. */
  readonly endless?: boolean;
}
export type Program = (spec: ProcessSpec, machine: FakeMachine) => RunResult | Promise<RunResult>;

const attributes = {
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: 1,
  link: '',
  deviceMajor: 0,
  deviceMinor: 0,
  xattrs: new Map<string, Buffer>(),
} as const;

export const collect = async (stream: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const parts: Uint8Array[] = [];
  for await (const chunk of stream) {
    parts.push(chunk);
  }
  return Buffer.concat(parts);
};

/** A machine that has no kernel: it notes what it is told, and what a "program" writes is its layer. */
export class FakeMachine {
  readonly options: BuildMachineOptions;
  readonly files: FileSpec[] = [];
  readonly staged = new Map<string, Buffer>();
  readonly released: Array<readonly string[]> = [];
  readonly relays: RelayPlace[] = [];
  readonly plugged: BuildDisk[] = [];
  disk: { diskFree?: number; diskTotal?: number } = {};
  readonly tars: Array<{ target: string; data: Buffer }> = [];
  readonly pushes: Array<Buffer | undefined> = [];
  readonly drops: number[] = [];
  readonly runs: ProcessSpec[] = [];
  closed = false;
  /** Called for each layer that is frozen; may throw. */
  onPush: () => void = () => {};
  /** Called when what a step had mounted is taken away. */
  onRelease: () => void = () => {};
  #upper: Record<string, string> = {};
  #kill: () => void = () => {};
  readonly #program: Program;
  readonly #readTar: (path: string) => AsyncIterable<Uint8Array>;

  constructor(options: BuildMachineOptions, program: Program, readTar: (path: string) => AsyncIterable<Uint8Array>) {
    this.options = options;
    this.#program = program;
    this.#readTar = readTar;
  }

  asGuest(): GuestClient {
    const guest: Partial<GuestClient> = {
      spawn: async (spec) => {
        this.runs.push(spec);
        const result = await this.#program(spec, this);
        this.#upper = { ...this.#upper, ...result.files };
        this.disk = result.disk ?? {};
        const killed = new Promise<void>((resolve) => {
          this.#kill = resolve;
        });
        return {
          pid: 2,
          holdOutput: () => () => {},
          output: toOutput(result.output ?? ''),
          exited: result.endless
            ? killed.then(() => ({ code: 137, oomKilled: false }))
            : Promise.resolve({ code: result.code ?? 0, oomKilled: result.oomKilled ?? false }),
          write: () => Promise.resolve(),
          closeStdin: () => Promise.resolve(),
          signal: () => Promise.resolve(this.#kill()),
          resize: () => Promise.resolve(),
        };
      },
      writeFiles: (files) => {
        this.files.push(...files);
        return Promise.resolve();
      },
      writeTar: async (target, tar) => {
        this.tars.push({ target, data: await collect(tar) });
      },
      readTar: (path) => this.#readTar(path),
      readLayer: () => writeLayer(toItems(this.#upper)),
      stageFolder: async (name, tar) => {
        this.staged.set(name, await collect(tar));
      },
      releaseStep: (disks) => {
        this.released.push(disks);
        this.onRelease();
        return Promise.resolve();
      },
      relay: (place) => {
        this.relays.push(place);
        return Promise.resolve({ close: () => Promise.resolve() });
      },
      stats: () =>
        Promise.resolve({
          cpuMs: 0,
          memoryUsed: 0,
          memoryTotal: 0,
          netRx: 0,
          netTx: 0,
          blockRead: 0,
          blockWrite: 0,
          pids: 0,
          ...this.disk,
        }),
      pushLayer: async (tar) => {
        this.pushes.push(tar ? await collect(tar) : undefined);
        this.onPush();
        this.#upper = {};
      },
      dropLayers: (keep) => {
        this.drops.push(keep);
        this.#upper = {};
        return Promise.resolve();
      },
    };
    return guest as GuestClient;
  }
}

/** Files and the folders they are in, parents first. */
export const toItems = (files: Readonly<Record<string, string>>): LayerItem[] => {
  const items = new Map<string, LayerItem>();
  for (const [path, text] of Object.entries(files)) {
    const parts = path.split('/');
    for (let depth = 1; depth < parts.length; depth++) {
      const folder = parts.slice(0, depth).join('/');
      items.set(folder, items.get(folder) ?? { path: folder, attributes: { ...attributes, type: 'dir', mode: 0o755, size: 0 } });
    }
    const bytes = Buffer.from(text);
    items.set(path, { path, attributes: { ...attributes, size: bytes.length }, content: { bytes } });
  }
  return [...items.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
};

async function* toOutput(text: string): AsyncGenerator<OutputChunk> {
  if (text !== '') {
    yield { stream: 'stdout', data: Buffer.from(text), time: 0, offset: 0 };
  }
}

export class FakeMachines implements BuildMachines {
  readonly started: FakeMachine[] = [];
  /** How many there were at once. */
  most = 0;
  /** Called for each machine that starts; may throw. */
  onStart: (machine: FakeMachine) => void = () => {};
  program: Program = () => ({});
  readTar: (path: string) => AsyncIterable<Uint8Array> = () => writeLayer([]);

  async start(options: BuildMachineOptions): Promise<BuildMachine> {
    const machine = new FakeMachine(
      options,
      (spec, self) => this.program(spec, self),
      (path) => this.readTar(path),
    );
    this.started.push(machine);
    this.onStart(machine);
    this.most = Math.max(this.most, this.started.filter(({ closed }) => !closed).length);
    const close = () => {
      machine.closed = true;
      return Promise.resolve();
    };
    const made = {
      limits: { memoryMib: 2048, diskMib: 65_536 },
      makeDisk: () => Promise.resolve(),
      look: () => Promise.resolve({ agent: 'is fake' }),
      plugDisk: (disk: BuildDisk) => {
        machine.plugged.push(disk);
        return Promise.resolve({
          unplug: async (signal: AbortSignal) => {
            signal.throwIfAborted();
            machine.plugged.splice(machine.plugged.indexOf(disk), 1);
          },
        });
      },
    };
    return { guest: machine.asGuest(), ...made, close, [Symbol.asyncDispose]: close };
  }

  get runs(): ProcessSpec[] {
    return this.started.flatMap(({ runs }) => runs);
  }
}
