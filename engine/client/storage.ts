import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import { diskUsage } from '../../base/host/disk-usage.ts';
import { listFolder } from '../../base/host/files.ts';
import { logger } from '../../base/log.ts';
import { type HomePaths, homePaths } from '../../base/paths.ts';
import { listCachedLayers, pruneBuildCache } from '../../builder/build.ts';
import { type ImageStore, openImageStore } from '../../builder/store/store.ts';
import { pruneTemplates } from '../../vmm/template/prune.ts';
import { templatesFolder } from '../../vmm/template/store.ts';
import { measureTemplates } from '../../vmm/template/usage.ts';
import { needToolchain, pruneToolchain } from '../../vmm/toolchain/index.ts';
import { pruneFetched } from '../artifacts/prune-fetched.ts';
import { findInUse } from '../images/in-use.ts';
import { hasMachine } from '../model/lifecycle.ts';
import type { PruneOptions, PruneResult, UsageRow } from '../model/types.ts';
import { openStateReader, type StateReader } from '../state/store.ts';
import { pruneVolumes } from './prune-volumes.ts';

const log = logger('storage');

/** Disk usage of images, replicas, volumes, builds and machine templates, as `docker system df` counts it. */
export const measureSystem = async (): Promise<UsageRow[]> => {
  const paths = homePaths();
  const store = await openStore(paths);
  return await withState(paths, async (state) => [
    await imageRow(store),
    await replicaRow(paths, state),
    await volumeRow(state),
    await buildRow(paths, store),
    await templateRow(paths, state),
  ]);
};

/** Removes what was asked for and is not in use. Throws IMAGE_IN_USE during a pull or build. */
export const pruneSystem = async (options: PruneOptions): Promise<PruneResult> => {
  const paths = homePaths();
  const store = await openStore(paths);
  let builds = 0;
  const chosen = options.imageIds === undefined ? undefined : new Set(options.imageIds);
  const images = await store.prune(
    options.images,
    async () => {
      builds = options.buildsOlderThan === undefined ? 0 : await pruneBuildCache(paths.build, options.buildsOlderThan);
    },
    (id) => chosen?.has(id) !== false,
  );
  const templates = await pruneUnusedTemplates(paths);
  return await withState(paths, async (state) => {
    const volumes = options.volumes ? await pruneVolumes(paths) : { names: [], bytes: 0 };
    if (options.toolchain && state.vms().length === 0 && !(await isShared(paths.toolchain))) {
      await pruneToolchain(paths);
    }
    const fetched = await pruneFetched(paths.cache, pathsInUse(state));
    return { images: images.removed, volumes: volumes.names, bytes: builds + images.bytes + templates + volumes.bytes + fetched };
  });
};

/** Where stacks have their files, and what their machines mount: a file that is here may include one that was fetched. */
const pathsInUse = (state: StateReader): string[] => [
  ...state.stacks().flatMap(({ workingDir, files }) => [workingDir, ...files]),
  ...state
    .vms()
    .flatMap(({ spec }) => [
      ...spec.mounts.flatMap((mount) => (mount.kind === 'bind' ? [mount.source] : [])),
      ...spec.files.flatMap(({ source }) => ('file' in source ? [source.file] : [])),
    ]),
];

/** Removes templates of images that no longer exist and returns the bytes freed. Templates in use are skipped without an error. */
const pruneUnusedTemplates = async (paths: HomePaths): Promise<number> => {
  const folder = templatesFolder(paths);
  try {
    const before = await diskUsage(folder);
    await pruneTemplates(paths, (await needToolchain(paths)).id);
    return Math.max(0, before - (await diskUsage(folder)));
  } catch (error) {
    log.warn('templates were not pruned', { reason: messageOf(error) });
    return 0;
  }
};

/** A toolchain that is a symlink belongs to another home, whose machines are not known here. */
const isShared = async (toolchain: string): Promise<boolean> => (await lstat(toolchain)).isSymbolicLink();

/** The image store of a home, with what is in use in it. */
export const openStore = async (paths: HomePaths, options: { readonly sweep?: boolean } = {}): Promise<ImageStore> =>
  await openImageStore({
    root: paths.images,
    toolchain: await needToolchain(paths),
    inUse: findInUse,
    keepLayers: async () => [...(await listCachedLayers(paths.build)).keys()],
    ...options,
  });

const withState = async <T>(paths: HomePaths, work: (state: StateReader) => Promise<T>): Promise<T> => {
  const state = openStateReader(paths.database);
  try {
    return await work(state);
  } finally {
    state.close();
  }
};

const imageRow = async (store: ImageStore): Promise<UsageRow> => {
  const { images, usedImages, imageBytes, unusedImageBytes } = await store.usage();
  return { type: 'Images', total: images, active: usedImages, size: imageBytes, reclaimable: unusedImageBytes };
};

const replicaRow = async (paths: HomePaths, state: StateReader): Promise<UsageRow> => {
  const rows = await Promise.all(
    state.vms().map(async (vm) => ({ active: hasMachine(vm.state), bytes: await diskUsage(join(paths.machines, vm.stack, vm.name)) })),
  );
  return { type: 'Containers', ...summarise(rows) };
};

const volumeRow = async (state: StateReader): Promise<UsageRow> => {
  const used = new Set(state.vms().flatMap(({ spec }) => spec.mounts.flatMap((mount) => (mount.kind === 'volume' ? [mount.volume] : []))));
  const rows = await Promise.all(state.volumes().map(async ({ name, path }) => ({ active: used.has(name), bytes: await diskUsage(path) })));
  return { type: 'Local Volumes', ...summarise(rows) };
};

const buildRow = async (paths: HomePaths, store: ImageStore): Promise<UsageRow> => {
  const { otherBytes, otherLayers } = await store.usage();
  const folders = await Promise.all(
    ['records', 'mounts', 'downloads', 'hashes', 'git', 'tmp'].map((name) => diskUsage(join(paths.build, name))),
  );
  const mounts = (await listFolder(join(paths.build, 'mounts'))).filter((name) => name.endsWith('.ext4')).length;
  const size = folders.reduce((sum, bytes) => sum + bytes, otherBytes);
  return { type: 'Build Cache', total: otherLayers + mounts, active: 0, size, reclaimable: size };
};

/** A template is active while a machine is a clone of it, because the clone maps its memory. */
const templateRow = async (paths: HomePaths, state: StateReader): Promise<UsageRow> => {
  const { templates, bytes, reclaimable } = await measureTemplates(paths, (await needToolchain(paths)).id);
  const cloned = new Set(state.vms().flatMap(({ state: now, machine }) => (hasMachine(now) ? (machine?.template ?? []) : [])));
  const active = templates.filter(({ key }) => cloned.has(key)).length;
  return { type: 'Templates', total: templates.length, active, size: bytes, reclaimable };
};

const summarise = (rows: ReadonlyArray<{ active: boolean; bytes: number }>): Omit<UsageRow, 'type'> => {
  const sum = (of: typeof rows) => of.reduce((total, { bytes }) => total + bytes, 0);
  const idle = rows.filter(({ active }) => !active);
  return { total: rows.length, active: rows.length - idle.length, size: sum(rows), reclaimable: sum(idle) };
};
