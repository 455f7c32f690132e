import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError, isErrno } from '../../../base/errors.ts';
import type { HomePaths } from '../../../base/paths.ts';
import { hasMachine } from '../../model/lifecycle.ts';
import type { AddedFile } from '../../model/object-types.ts';
import { type ReplicaFile, SECRET_OR_CONFIG } from '../../model/spec.ts';
import type { VmRow } from '../../state/records.ts';
import { openStateStore, type StateStore } from '../../state/store.ts';
import { whileUnsupervised } from './while-unsupervised.ts';

/** Gives a replica that does not run another name; its disks and logs go along. Throws NOT_FOUND, HYPR_UNSUPPORTED. */
export const renameReplica = (paths: HomePaths, id: string, name: string): Promise<void> =>
  change(paths, id, 'its name', async (vm, store) => {
    const [machines, logs] = [join(paths.machines, vm.stack), join(paths.logs, vm.stack)];
    await moveIfThere(join(machines, vm.name), join(machines, name));
    for (const file of await filesOf(logs, `${vm.name}.`)) {
      await moveIfThere(join(logs, file), join(logs, name + file.slice(vm.name.length)));
    }
    const files = vm.spec.files.map((file) => moved(file, join(machines, vm.name), join(machines, name)));
    store.putVm({
      ...vm,
      name,
      spec: { ...vm.spec, name, files, hostname: vm.spec.hostname === vm.name ? name.slice(0, 63) : vm.spec.hostname },
    });
  });

/** Files that a replica has from its first start on; they are kept with its disks. */
export const addFiles = (paths: HomePaths, id: string, files: readonly AddedFile[]): Promise<void> =>
  change(paths, id, 'its files', async (vm, store) => {
    const folder = join(paths.machines, vm.stack, vm.name, 'files');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const kept = new Map(vm.spec.files.map((file) => [file.path, file]));
    const given = new Set(files.map(({ path }) => path));
    const own = (file: ReplicaFile): string[] =>
      'file' in file.source && file.source.file.startsWith(`${folder}/`) ? [file.source.file] : [];
    const replaced = vm.spec.files.filter(({ path }) => given.has(path)).flatMap(own);
    const staying = vm.spec.files.filter(({ path }) => !given.has(path)).flatMap(own);
    const sizes = await Promise.all(staying.map(async (file) => (await stat(file)).size));
    const bytes = [...sizes, ...files.map(({ content }) => content.length)].reduce((sum, size) => sum + size, 0);
    if (bytes > SECRET_OR_CONFIG.maxBytes) {
      throw new HyprError('HYPR_FILE', `${bytes} bytes are too many for ${vm.name}, which does not run yet: 16 MiB are the most`, {
        hint: 'start it first, or build them into its image',
      });
    }
    for (const { path, content, mode, uid, gid } of files) {
      const file = join(folder, randomBytes(8).toString('hex'));
      await writeFile(file, content, { mode: 0o600 });
      kept.set(path, { source: { file }, path, mode, uid, gid });
    }
    store.putVm({ ...vm, spec: { ...vm.spec, files: [...kept.values()] } });
    await Promise.all(replaced.map((file) => rm(file, { force: true })));
  });

const change = async (paths: HomePaths, id: string, what: string, work: (vm: VmRow, store: StateStore) => Promise<void>): Promise<void> => {
  const store = openStateStore(paths.database);
  const need = (): VmRow => {
    const vm = store.vms().find((row) => row.id === id);
    if (vm === undefined) {
      throw new HyprError('NOT_FOUND', `there is no replica ${id}`, { hint: 'replicas are named as in: hypr ps -a' });
    }
    return vm;
  };
  try {
    const { stack, name } = need();
    const refusal = (): HyprError =>
      new HyprError('HYPR_UNSUPPORTED', `${what} cannot change while ${name} runs`, { hint: `stop it first: hypr stop ${name}` });
    const runs = store.vms(stack).some(({ state }) => hasMachine(state) || state === 'restarting');
    await whileUnsupervised({ stack, runs }, refusal, async () => {
      const vm = need();
      if (vm.machine !== undefined || vm.state === 'suspended') {
        throw refusal();
      }
      await work(vm, store);
    });
  } finally {
    store.close();
  }
};

const moved = (file: ReplicaFile, from: string, to: string): ReplicaFile =>
  'file' in file.source && file.source.file.startsWith(`${from}/`)
    ? { ...file, source: { file: to + file.source.file.slice(from.length) } }
    : file;

const moveIfThere = async (from: string, to: string): Promise<void> => {
  try {
    await rename(from, to);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) {
      throw error;
    }
  }
};

const filesOf = async (folder: string, prefix: string): Promise<string[]> => {
  try {
    return (await readdir(folder)).filter((name) => name.startsWith(prefix));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return [];
    }
    throw error;
  }
};
