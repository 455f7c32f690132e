import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { HyprError } from '../../../base/errors.ts';
import { buildImage } from '../../../builder/build.ts';
import type { HostCertificates } from '../../../builder/model/host-certificates.ts';
import { MachineScheduler } from '../../../builder/model/machine-scheduler.ts';
import type { BuildEvent, BuildRequest, BuildResult, FailedStep, Image } from '../../../builder/model/types.ts';
import type { BuildOptions } from '../../../builder/solver/frame/build-options.ts';
import type { ImageConfigBlob } from '../../../builder/solver/frame/store.ts';
import { indexTar, LayerTree } from '../../../builder/solver/layer/layer-tree.ts';
import { type LayerItem, writeLayer } from '../../../builder/solver/layer/tar-write.ts';
import type { ImageStore } from '../../../builder/store/store.ts';
import { FakeMachines, toItems } from './fake-machines.ts';
import { FakeStore } from './fake-store.ts';

/** A request that asks for nothing special, of no context. */
export const PLAIN_REQUEST: BuildRequest = {
  context: '/nonexistent',
  dockerfile: { path: 'Dockerfile' },
  tags: [],
  buildArgs: {},
  labels: {},
  noCache: false,
  pull: false,
  network: 'default',
  additionalContexts: {},
  extraHosts: [],
  secrets: {},
};

export const PASSWD = 'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:2:d:/:/bin/false\nnobody:x:65534:65534:n:/:/bin/false\n';
export const GROUP = 'root:x:0:\ndaemon:x:2:\nstaff:x:50:\nnobody:x:65534:\n';

/** Longer than a loaded host takes between two steps, so that machines are taken in the same order everywhere. */
const LINGER_MS = 30_000;

/** A context folder, a store, fake machines and a busybox-like base image: what one test builds with. */
export class Workshop {
  readonly folder = mkdtempSync(join(tmpdir(), 'hypr-build-'));
  readonly context = join(this.folder, 'context');
  readonly store = new FakeStore(join(this.folder, 'store'));
  readonly machines = new FakeMachines();
  readonly resolved: string[] = [];
  readonly #images = new Map<string, Image>();
  #real: ImageStore | undefined;
  events: BuildEvent[] = [];
  certificates: HostCertificates | undefined;
  options: Partial<BuildOptions> = {};
  maxMachines = 1;
  memoryMib = 64 * 1024;
  onFailedStep: ((step: FailedStep) => void) | undefined;

  constructor() {
    mkdirSync(this.context);
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Builds go into this store instead of the pretended one. */
  replaceStore(store: ImageStore): void {
    this.#real = store;
  }

  file(path: string, text = path, mode = 0o644): void {
    const full = join(this.context, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, text);
    chmodSync(full, mode);
    utimesSync(full, 1_600_000_000, 1_600_000_000);
  }

  link(path: string, target: string): void {
    const full = join(this.context, path);
    mkdirSync(dirname(full), { recursive: true });
    symlinkSync(target, full);
  }

  async image(reference: string, files: Record<string, string>, config: object = {}, extra: LayerItem[] = []): Promise<Image> {
    const { diffId } = await this.store.addLayer(writeLayer([...toItems(files), ...extra]));
    const image = await this.store.addImage({
      config: {
        created: '2020-01-01T00:00:00Z',
        architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
        os: 'linux',
        config: { Env: ['PATH=/bin'], ...config },
        rootfs: { type: 'layers', diff_ids: [diffId] },
        history: [{ created_by: 'base' }],
      },
      references: [`docker.io/library/${reference}:latest`],
    });
    this.#images.set(reference, image);
    return image;
  }

  async busybox(): Promise<void> {
    await this.image('busybox', { 'etc/passwd': PASSWD, 'etc/group': GROUP, 'bin/sh': 'sh', 'tmp/keep': '' });
  }

  async build(dockerfile: string, request: Partial<BuildRequest> = {}, signal = new AbortController().signal) {
    const result = await this.run(dockerfile, request, signal);
    const blob = JSON.parse((await (this.#real ?? this.store).readConfig(result.imageId)).toString()) as ImageConfigBlob;
    return { ...result, blob, tree: await this.tree(blob.rootfs.diff_ids) };
  }

  /** A build that need not end in the store. */
  async run(dockerfile: string, request: Partial<BuildRequest> = {}, signal = new AbortController().signal): Promise<BuildResult> {
    this.events = [];
    return await buildImage({
      request: {
        ...PLAIN_REQUEST,
        context: this.context,
        dockerfile: { text: dockerfile, name: 'Dockerfile' },
        tags: ['test:latest'],
        ...request,
      },
      store: this.#real ?? this.store,
      machines: this.machines,
      paths: { build: join(this.folder, 'build') },
      resolveImage: (reference) => {
        this.resolved.push(reference);
        const image = this.#images.get(reference);
        if (this.#real !== undefined) {
          return this.#real.need(reference);
        }
        return image ? Promise.resolve(image) : Promise.reject(new HyprError('IMAGE_NOT_FOUND', `no image ${reference}`));
      },
      onEvent: (event) => this.events.push(event),
      signal,
      scheduler: new MachineScheduler({ working: this.maxMachines, memoryMib: this.memoryMib, lingerMs: LINGER_MS }),
      ...(this.onFailedStep === undefined ? {} : { onFailedStep: async (step) => this.onFailedStep?.(step) }),
      readCertificates: () => Promise.resolve(this.certificates),
      ...this.options,
    });
  }

  async tree(layers: readonly string[]): Promise<LayerTree> {
    let tree = LayerTree.empty;
    for (const layer of layers) {
      tree = tree.withLayer(await indexTar((this.#real ?? this.store).layerTar(layer)));
    }
    return tree;
  }

  /** Names of the steps in the order they ended, with how. */
  steps(): string[] {
    return this.events.flatMap((event) => (event.type === 'vertex' && event.state !== 'started' ? `${event.name}: ${event.state}` : []));
  }

  cached(): string[] {
    return this.events.flatMap((event) => (event.type === 'vertex' && event.state === 'cached' ? event.name : []));
  }
}

/** Files with their text, `@target` for symlinks, folders only when they are empty; what the base image has left out. */
export const show = async (tree: LayerTree, under = ''): Promise<Record<string, string>> => {
  const shown: Record<string, string> = {};
  const visit = async (path: string): Promise<void> => {
    const names = tree.list(path);
    for (const name of names) {
      const child = path === '' ? name : `${path}/${name}`;
      const entry = tree.get(child);
      if (entry?.type === 'dir') {
        await visit(child);
        if (tree.list(child).length === 0) {
          shown[`${child}/`] = '';
        }
      } else if (entry?.type === 'symlink') {
        shown[child] = `@${entry.link}`;
      } else {
        shown[child] = (await tree.readText(child)) ?? '';
      }
    }
  };
  await visit(under);
  return shown;
};

export const thrown = async (work: Promise<unknown>): Promise<HyprError> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof HyprError) {
      return error;
    }
    throw error;
  }
  throw new Error('nothing was thrown');
};
