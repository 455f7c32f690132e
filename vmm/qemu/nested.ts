import { readFile } from 'node:fs/promises';
import { HyprError, isErrno } from '../../base/errors.ts';
import type { Accelerator } from './accelerator.ts';

/** What decides whether machines can run machines. */
export interface NestedFacts {
  readonly accelerator: Accelerator;
  /** The module of KVM that this host has loaded, and whether it lets guests virtualise; absent when KVM is not used or is built in. */
  readonly module?: { readonly name: string; readonly allows: boolean };
  /** The guest's kernel has KVM. */
  readonly hasModules: boolean;
}

export const findNestedFacts = async (
  { accelerator, nestedInitramfs }: { readonly accelerator: Accelerator; readonly nestedInitramfs: string | null },
  sys = '/sys/module',
): Promise<NestedFacts> => {
  const module = accelerator === 'kvm' ? await findModule(sys) : undefined;
  return { accelerator, hasModules: nestedInitramfs !== null, ...(module === undefined ? {} : { module }) };
};

const findModule = async (sys: string): Promise<NestedFacts['module']> => {
  for (const name of ['kvm_intel', 'kvm_amd']) {
    try {
      // `Y` or `1`, by version.
      return { name, allows: /^[Y1]/.test(await readFile(`${sys}/${name}/parameters/nested`, 'utf8')) };
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) {
        throw error;
      }
    }
  }
  return undefined;
};

/** Pure: why a machine cannot run machines here, and what changes it; undefined when it can. */
export const nestedRefusal = ({ module, hasModules }: NestedFacts): { readonly reason: string; readonly fix: string } | undefined => {
  if (!hasModules) {
    return { reason: 'the kernel of guests has no KVM', fix: 'use the kernel of hypr setup instead of HYPR_KERNEL' };
  }
  if (module !== undefined && !module.allows) {
    const option = `options ${module.name} nested=1`;
    return {
      reason: `${module.name} of this host lets no guest virtualise`,
      fix: `echo ${option} | sudo tee /etc/modprobe.d/kvm-nested.conf, then with no machine running: sudo modprobe -r ${module.name} && sudo modprobe ${module.name}`,
    };
  }
  return undefined;
};

/** Throws HYPR_UNSUPPORTED when a machine that is to run machines cannot. */
export const refuseNested = (name: string, facts: NestedFacts): void => {
  const refusal = nestedRefusal(facts);
  if (refusal !== undefined) {
    throw new HyprError('HYPR_UNSUPPORTED', `${name} cannot have /dev/kvm: ${refusal.reason}`, { hint: refusal.fix });
  }
};
