import { messageOf } from '../../base/errors.ts';
import type { HomePaths } from '../../base/paths.ts';
import type { Toolchain } from '../model/tools.ts';
import type { Accelerator } from '../qemu/accelerator.ts';
import { findNestedFacts, nestedRefusal } from '../qemu/nested.ts';
import type { DoctorCheck } from './doctor-check.ts';
import { adviseKvm, findKvmFacts, isGuestItself } from './kvm-advice.ts';
import { chooseVmm } from './probe.ts';

/** Whether machines run on KVM, found by running one, and whether they can run machines themselves. */
export const checkAccelerator = async (toolchain: Toolchain, paths: HomePaths, signal?: AbortSignal): Promise<DoctorCheck[]> => {
  try {
    const { verdict } = await chooseVmm({ toolchain, paths, refresh: true, ...(signal ? { signal } : {}) });
    const facts = await findKvmFacts();
    const kvm: DoctorCheck =
      verdict.accelerator === 'kvm'
        ? { id: 'kvm', title: 'KVM', status: 'ok', detail: `${verdict.reason}${isGuestItself(facts) ? NESTED : ''}` }
        : {
            id: 'kvm',
            title: 'KVM',
            status: 'warn',
            detail: `${verdict.reason}: machines are emulated in software, which is slower`,
            fix: adviseKvm(verdict.refusal, facts),
          };
    return [kvm, await checkNested(toolchain, verdict.accelerator)];
  } catch (error) {
    return [{ id: 'kvm', title: 'KVM', status: 'fail', detail: messageOf(error) }];
  }
};

const NESTED = ' (nested: this host is a virtual machine itself, so exits of guests cost more than elsewhere)';

/** Nobody needs it who does not ask for it, so it is a warning at most where KVM is used. */
const checkNested = async (toolchain: Toolchain, accelerator: Accelerator): Promise<DoctorCheck> => {
  const about = { id: 'nested', title: 'Machines in machines' } as const;
  const refusal = nestedRefusal(await findNestedFacts({ accelerator, nestedInitramfs: toolchain.nestedInitramfs }));
  return refusal === undefined
    ? {
        ...about,
        status: 'ok',
        detail:
          accelerator === 'kvm'
            ? 'x-hypr.nested gives a service /dev/kvm'
            : 'x-hypr.nested gives a service /dev/kvm, emulated and very slow',
      }
    : { ...about, status: 'warn', detail: `x-hypr.nested is refused: ${refusal.reason}`, fix: refusal.fix };
};
