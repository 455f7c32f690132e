import { HyprError } from '../../../base/errors.ts';
import type { HomePaths } from '../../../base/paths.ts';
import type { ApiClient } from '../../api/client/client.ts';
import { hasMachine } from '../../model/lifecycle.ts';
import { matchingVms } from '../../state/matching-vms.ts';
import type { VmRow } from '../../state/records.ts';
import { openStateStore, type StateStore } from '../../state/store.ts';
import { SupervisorLink } from '../link/supervisor-link.ts';
import { whileUnsupervised } from './while-unsupervised.ts';

export interface SupervisedChange {
  /** Has the supervisor do it, which has the rows of its stack. */
  readonly ask: (api: ApiClient, id: string) => Promise<void>;
  /** Does it where nothing of the stack runs; what fails takes everything back. */
  readonly work: (vm: VmRow, store: StateStore) => void;
}

/** Changes one replica, by name, id or the beginning of an id, whether its stack runs or not. Throws NOT_FOUND, HYPR_USAGE, HYPR_LOCKED. */
export const changeSupervised = async (paths: HomePaths, reference: string, { ask, work }: SupervisedChange): Promise<void> => {
  const store = openStateStore(paths.database);
  try {
    const { id, stack } = needVm(store, reference);
    const isNeeded = async () => store.vms(stack).some((vm) => hasMachine(vm.state) || vm.state === 'restarting');
    const link = new SupervisorLink({ stack, paths, isNeeded });
    try {
      const api = await link.ifRunning(() => {});
      if (api !== undefined) {
        await ask(api, id);
        return;
      }
    } catch (error) {
      throw link.failureOf(error);
    } finally {
      link.close();
    }
    await whileUnsupervised({ stack, runs: await isNeeded() }, starting(reference), async () => {
      store.transaction(() => work(needVm(store, id), store));
    });
  } finally {
    store.close();
  }
};

const starting = (reference: string) => (): HyprError =>
  new HyprError('HYPR_LOCKED', `the stack of ${reference} is just being started or stopped`, { hint: 'try again' });

const needVm = (store: StateStore, reference: string): VmRow => {
  const found = matchingVms(store.vms(), reference);
  const [vm, other] = found;
  if (vm === undefined) {
    throw new HyprError('NOT_FOUND', `there is no replica ${reference}`, { hint: 'replicas are named as in: hypr ps -a' });
  }
  if (other !== undefined) {
    const all = found.map(({ name, stack }) => `${name} (stack ${stack})`).join(', ');
    throw new HyprError('HYPR_USAGE', `${reference} may be each of ${all}`, { hint: 'write its id: hypr ps --no-trunc -q' });
  }
  return vm;
};
