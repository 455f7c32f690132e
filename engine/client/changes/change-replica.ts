import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError, isErrno } from '../../../base/errors.ts';
import type { HomePaths } from '../../../base/paths.ts';
import { hasMachine } from '../../model/lifecycle.ts';
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
    store.putVm({
      ...vm,
      name,
      spec: { ...vm.spec, name, hostname: vm.spec.hostname === vm.name ? name.slice(0, 63) : vm.spec.hostname },
    });
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
