import { HyprError } from '../../base/errors.ts';
import { otlpTarget } from '../../base/trace/otlp.ts';

export interface Host {
  readonly platform: string;
  readonly arch: string;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Checks what this host or its environment asks for that hypr does not support. Throws HYPR_UNSUPPORTED where machines
 * could not run or would differ from what was asked for; returns warnings for the rest.
 */
export const checkHostSettings = ({ platform, arch, env }: Host): string[] => {
  if (platform !== 'linux' || arch !== 'x64') {
    throw new HyprError(
      'HYPR_UNSUPPORTED',
      `hypr runs on Linux x86-64 for now, and this is ${platform} ${arch}: there is no backend for it`,
      {
        hint: 'the backends of HYPR for macOS (libkrun) are not here; use a Linux host or virtual machine',
      },
    );
  }
  const vmm = env.HYPR_VMM ?? '';
  if (vmm !== '' && vmm.toLowerCase() !== 'qemu') {
    throw new HyprError('HYPR_UNSUPPORTED', `HYPR_VMM is ${JSON.stringify(vmm)}, and the only backend is QEMU`, {
      hint: 'unset HYPR_VMM; between KVM and software emulation chooses HYPR_ACCEL=kvm|tcg',
    });
  }
  const problem = otlpTarget(env)?.problem;
  return problem === undefined ? [] : [`HYPR_OTLP_ENABLED has no effect: ${problem}`];
};
