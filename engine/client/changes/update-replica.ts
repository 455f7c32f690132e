import type { HomePaths } from '../../../base/paths.ts';
import type { ReplicaUpdate } from '../../model/object-types.ts';
import type { RestartPolicy } from '../../model/spec.ts';
import { checkSizes, updatedSpec } from '../../replica/updated-spec.ts';
import { changeSupervised } from './change-supervised.ts';

/** `update`, by its supervisor where that runs. Throws NOT_FOUND, HYPR_USAGE, HYPR_UNSUPPORTED for a size while it runs. */
export const updateReplica = async (paths: HomePaths, id: string, { restart, ...sizes }: ReplicaUpdate): Promise<void> => {
  checkSizes(sizes);
  await changeSupervised(paths, id, {
    ask: async (api, replica) => {
      await api.rpc.updateReplica({ replica, ...sizes, ...(restart === undefined ? {} : { restart: restartText(restart) }) });
    },
    work: (vm, store) => store.putVm({ ...vm, spec: updatedSpec(vm, { ...sizes, ...(restart === undefined ? {} : { restart }) }) }),
  });
};

const restartText = ({ condition, maxAttempts }: RestartPolicy): string =>
  condition === 'on-failure' && maxAttempts > 0 ? `${condition}:${maxAttempts}` : condition;
