import { mkdirSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { HyprError } from '../../../base/errors.ts';
import { exists } from '../../../base/host/files.ts';
import { homePaths } from '../../../base/paths.ts';
import type { Image, ImageRuntime } from '../../../builder/model/types.ts';
import type { Platform, Publication } from '../../../engine/model/platform.ts';
import type { AwaitPort } from '../../../net/ports/publish.ts';
import type { Network, NetworkEvent, NetworkPolicy, NetworkRecord, NetworkSpec, PublishedPort } from '../../../net/types.ts';
import { createFakeVmm, type FakeVmm } from '../../../vmm/fake.ts';
import { Cue } from './cue.ts';
import { type Behaviour, FakeGuest } from './fake-guest.ts';
import { imageOf } from './project.ts';

export interface FakeNetwork extends Network {
  /** As if its process had been killed. */
  die(detail: string): void;
  readonly nics: Socket[];
  /** The rules of each NIC, by MAC. */
  readonly rules: Map<string, { readonly egress?: NetworkPolicy; readonly peers?: NetworkPolicy }>;
  /** Tables that it was told, by owner. */
  readonly names: Map<string, object>;
  /** As if the gateway had said so. */
  tell(event: NetworkEvent): void;
}

export interface FakePlatform extends Platform {
  readonly vmm: FakeVmm;
  readonly images: Map<string, Image>;
  /** Running networks by the name the user sees. */
  readonly nets: Map<string, FakeNetwork>;
  /** Open publications, `127.0.0.1:8080/tcp`. */
  readonly published: Set<string>;
  /** What a client of a published port (`127.0.0.1:8080/tcp`) waits for. */
  awaitPort(port: string): AwaitPort;
  /** Ports somebody else holds, `8080`. */
  readonly taken: Set<number>;
  /** What was asked of the world, in order: `network shop_default`, `boot shop-db-1`, `pull db:1`… */
  readonly journal: string[];
  /** Sockets of agents that somebody waits for. */
  readonly connecting: ReadonlySet<string>;
  /** By replica (`shop-db-1`) or service (`db`). */
  behave(name: string, behaviour: Behaviour): void;
  /** The guest of a living machine. */
  guest(replica: string): FakeGuest;
  /** Makes the next start of a network wait. */
  holdNetworks(cue: Promise<unknown> | undefined): void;
  failNetworks(error: Error | undefined): void;
  addImage(reference: string, config?: Partial<ImageRuntime>, id?: string): Image;
}

/** A host in memory: machines, guests, networks, ports and images of a test. */
export const createFakePlatform = (dir: string): FakePlatform => {
  const vmm = createFakeVmm();
  const behaviours = new Map<string, Behaviour>();
  const guests = new Map<string, FakeGuest>();
  const images = new Map<string, Image>();
  const nets = new Map<string, FakeNetwork>();
  const published = new Set<string>();
  const waits = new Map<string, AwaitPort>();
  const taken = new Set<number>();
  const journal: string[] = [];
  const connecting = new Set<string>();
  let networkCue: Promise<unknown> | undefined;
  let networkError: Error | undefined;

  const guestOf = (name: string): FakeGuest => {
    const machine = vmm.machines.get(name);
    if (machine === undefined) {
      throw new Error(`the machine ${name} does not run`);
    }
    const known = guests.get(name);
    if (known?.machine === machine) {
      return known;
    }
    if (known !== undefined && machine.restored) {
      const moved = known.moveTo(machine);
      guests.set(name, moved);
      return moved;
    }
    const service = /-([a-z]+)-\d+$/.exec(name)?.[1] ?? '';
    const guest = new FakeGuest(name, machine, behaviours.get(name) ?? behaviours.get(service) ?? {});
    guests.set(name, guest);
    return guest;
  };

  const addImage: FakePlatform['addImage'] = (reference, config = {}, id = `sha256:${reference}`) => {
    const image = { ...imageOf(config), id, references: [reference] };
    images.set(reference, image);
    images.set(id, image);
    return image;
  };

  const inUse = (port: { hostPort: number; protocol: string }) =>
    new HyprError('NET_PORT_IN_USE', `port ${port.hostPort}/${port.protocol} is already in use by nginx (pid 7)`);
  const keyOf = (port: { hostAddress: string; hostPort: number; protocol: string }) =>
    `${port.hostAddress}:${port.hostPort}/${port.protocol}`;

  return {
    paths: homePaths(join(dir, 'home')),
    runDir: join(dir, 'run'),
    vmm: {
      ...vmm,
      create: async (spec, sockets, signal) => {
        const machine = await vmm.create(spec, sockets, signal);
        journal.push(`boot ${spec.name}`);
        return machine;
      },
      restore: async (saved, sockets, signal) => {
        const machine = await vmm.restore(saved, sockets, signal);
        journal.push(`restore ${saved.spec.name}`);
        return machine;
      },
    },
    cores: 4,
    images,
    nets,
    published,
    awaitPort: (port) => waits.get(port) ?? (() => Promise.reject(new Error(`${port} is not published`))),
    taken,
    journal,
    connecting,
    behave: (name, behaviour) => behaviours.set(name, behaviour),
    guest: guestOf,
    holdNetworks: (cue) => {
      networkCue = cue;
    },
    failNetworks: (error) => {
      networkError = error;
    },
    addImage,
    connectGuest: async (socket, { signal }) => {
      const machine = [...vmm.machines.values()].find(({ record }) => record.agentSocket === socket);
      const guest = machine && guestOf(machine.record.spec.name);
      connecting.add(socket);
      const aborted = new Promise<never>((_, reject) => {
        signal.throwIfAborted();
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
      // The agent of a machine that is paused or gone never answers.
      const mute = guest === undefined || machine?.paused ? new Promise<never>(() => {}) : undefined;
      await Promise.race([Promise.all([guest?.behaviour.boot, mute]), aborted]).finally(() => connecting.delete(socket));
      return (guest as FakeGuest).connect();
    },
    startNetwork: async (spec, signal) => {
      const aborted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
      await Promise.race([networkCue, aborted]);
      if (networkError !== undefined) {
        throw networkError;
      }
      journal.push(`network ${spec.name}`);
      const network = fakeNetwork(spec, () => nets.delete(spec.name));
      nets.set(spec.name, network);
      return network;
    },
    adoptNetwork: async (record) => nets.get(record.spec.name),
    sweepNetwork: async (record) => {
      journal.push(`sweep ${record.spec.name}`);
    },
    checkPorts: async (ports) => {
      const bad = ports.find((port) => taken.has(port.hostPort) || published.has(keyOf(port)));
      if (bad !== undefined) {
        throw inUse(bad);
      }
    },
    publish: async (_, port, awaitPort) => {
      const chosen: PublishedPort = port.hostPort === 0 ? { ...port, hostPort: 40_000 + published.size } : port;
      if (taken.has(chosen.hostPort) || published.has(keyOf(chosen))) {
        throw inUse(chosen);
      }
      published.add(keyOf(chosen));
      if (awaitPort !== undefined) {
        waits.set(keyOf(chosen), awaitPort);
      }
      const publication: Publication = { port: chosen, close: async () => void published.delete(keyOf(chosen)) };
      return publication;
    },
    findImage: async (name) => images.get(name),
    isBuiltFrom: async () => undefined,
    rootDisk: async (image) => ({ path: `/images/${image.id}`, format: 'raw' }),
    pullImage: async (reference, { policy }, progress, signal) => {
      signal.throwIfAborted();
      journal.push(`pull ${reference} ${policy}`);
      progress({ id: `Image ${reference}`, status: 'done', text: 'Pulled' });
      return addImage(reference);
    },
    buildImage: async (input) => {
      journal.push(`build ${input.tags.join(' ')}`);
      return addImage(input.tags[0] ?? '', {}, `sha256:built-${journal.length}`).id;
    },
    removeImage: async (name) => {
      journal.push(`remove image ${name}`);
      images.delete(name);
    },
    settleDisk: () => Promise.resolve(true),
    makeDisk: async ({ path, label }) => {
      if (!(await exists(path))) {
        journal.push(`disk ${label}`);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, label);
      }
    },
  };
};

const fakeNetwork = (spec: NetworkSpec, onEnd: () => void): FakeNetwork => {
  const ended = new Cue<{ detail: string }>();
  const nics: Socket[] = [];
  const rules: FakeNetwork['rules'] = new Map();
  const names = new Map<string, object>();
  const listeners = new Set<(event: NetworkEvent) => void>();
  const record: NetworkRecord = { spec, process: { pid: 0, startTime: spec.name }, socket: join(spec.runDir, 'api.sock') };
  return {
    record,
    nics,
    exited: ended.promise,
    rules,
    connectNic: async ({ mac, egress, peers }) => {
      rules.set(mac, { ...(egress && { egress }), ...(peers && { peers }) });
      const socket = new Socket();
      nics.push(socket);
      return socket;
    },
    dial: async () => new Socket(),
    dialUdp: async () => new Socket(),
    capture: async () => new Socket(),
    detachNic: async (mac) => void rules.delete(mac),
    setPolicy: async (mac, policy) => {
      rules.set(mac, policy);
    },
    names,
    setNames: async (owner, table) => void names.set(owner, table),
    setEdges: async () => {},
    tell: (event) => {
      for (const listener of listeners) {
        listener(event);
      }
    },
    onEvent: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    state: async () => ({
      network: spec.name,
      machines: [],
      tcp: 0,
      udp: 0,
      tunnels: 0,
      fence: { landlock: 0, seccomp: true, nets: true },
    }),
    stats: async () => ({ received: 0, sent: 0 }),
    stop: async () => {
      onEnd();
      ended.resolve({ detail: 'stopped' });
    },
    release: () => {},
    die: (detail) => {
      onEnd();
      ended.resolve({ detail });
    },
  };
};
