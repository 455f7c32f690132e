import { homePaths } from '../../base/paths.ts';
import type { StackSummary } from '../model/types.ts';
import type { VmRow } from '../state/records.ts';
import { openStateStore } from '../state/store.ts';

/** The rows of `ls`: stacks with running replicas, or all stacks. Reads only the database. */
export const listStacks = (options: { all: boolean }): StackSummary[] => {
  const store = openStateStore(homePaths().database);
  try {
    return store.stacks().flatMap((stack) => {
      const vms = store.vms(stack.name).filter((vm) => !vm.oneOff);
      const shown =
        vms.length > 0 && (options.all || vms.some((vm) => vm.state === 'running' || vm.state === 'paused' || vm.state === 'suspended'));
      const { name, workingDir, files: configFiles, project } = stack;
      const { envFiles = [], profiles = [] } = project;
      return shown ? [{ name, status: combineStates(vms), configFiles, workingDir, envFiles, profiles }] : [];
    });
  } finally {
    store.close();
  }
};

/** `exited(1), running(2)`: states in alphabetical order, as docker compose. */
const combineStates = (vms: readonly VmRow[]): string => {
  const counts = new Map<string, number>();
  for (const vm of vms) {
    counts.set(vm.state, (counts.get(vm.state) ?? 0) + 1);
  }
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([state, count]) => `${state}(${count})`)
    .join(', ');
};
