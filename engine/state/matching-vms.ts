import type { VmRow } from './records.ts';

/** The replicas of that name, in whatever stack; else those whose id begins with it. */
export const matchingVms = (vms: readonly VmRow[], reference: string): readonly VmRow[] => {
  const named = vms.filter((vm) => vm.name === reference);
  return named.length > 0 || !/^[0-9a-f]{1,64}$/.test(reference) ? named : vms.filter((vm) => vm.id.startsWith(reference));
};
