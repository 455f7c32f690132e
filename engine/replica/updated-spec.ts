import { HyprError } from '../../base/errors.ts';
import type { ReplicaUpdate } from '../model/object-types.ts';
import type { ReplicaSpec } from '../model/spec.ts';
import { machineMemory, wholeProcessors } from '../resolve/limits.ts';
import type { VmRow } from '../state/records.ts';

/**
 * What `docker update` makes of a replica's spec, until the replica is made again. Pure. A machine has its memory and processors from its
 * boot on. Throws HYPR_USAGE for a size that is none, and HYPR_UNSUPPORTED when they should change while there is one, or one is saved or about to start.
 */
export const updatedSpec = (vm: VmRow, update: ReplicaUpdate): ReplicaSpec => {
  const { restart, memory, cpus } = update;
  const { name, state, spec } = vm;
  checkSizes(update);
  const isAtRest = vm.machine === undefined && ['created', 'exited', 'dead'].includes(state);
  if ((memory !== undefined || cpus !== undefined) && !isAtRest) {
    throw new HyprError(
      'HYPR_UNSUPPORTED',
      `memory and processors of ${name} cannot change while it is ${state}: a machine has its size from its start on`,
      {
        hint: `stop it first: hypr stop ${name}; it has the new size from its next start on`,
      },
    );
  }
  if (restart !== undefined && restart.condition !== 'no' && spec.autoRemove !== undefined) {
    throw new HyprError('HYPR_USAGE', 'Restart policy cannot be updated because AutoRemove is enabled for the container');
  }
  return {
    ...spec,
    ...(restart === undefined ? {} : { restart }),
    ...(memory === undefined ? {} : { memoryMib: machineMemory(memory) }),
    ...(cpus === undefined ? {} : { vcpus: wholeProcessors(cpus) }),
  };
};

/** Throws HYPR_USAGE for what is no number above 0: in JSON, and so to a supervisor, Infinity would be as if nothing was asked for. */
export const checkSizes = ({ memory, cpus }: Pick<ReplicaUpdate, 'memory' | 'cpus'>): void => {
  for (const [what, size] of Object.entries({ memory, cpus })) {
    if (size !== undefined && !(Number.isFinite(size) && size > 0)) {
      throw new HyprError('HYPR_USAGE', `${what}: a machine cannot have ${size}`, { hint: 'write a number above 0' });
    }
  }
};
