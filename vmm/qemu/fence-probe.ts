import { HyprError, messageOf } from '../../base/errors.ts';
import { runProgram } from '../../base/host/process.ts';

/** How files are kept away from QEMU: by Landlock, by a mount namespace that holds only its own (a view), or not at all. */
export type FenceWay = 'landlock' | 'view' | 'none';

/** What the kernel gives the launcher of machines, found by fencing in a process that tries its doors. */
export interface MachineFence {
  /** Its ABI; 0: none. */
  readonly landlock: number;
  readonly way: FenceWay;
  readonly files: boolean;
  readonly calls: boolean;
  readonly privileges: boolean;
}

/** What `HYPR_FENCE=partial` adds to the launcher's arguments: machines start although files are not kept away. Throws HYPR_USAGE. */
export const partialFence = (env: NodeJS.ProcessEnv = process.env): string[] => {
  const wanted = env.HYPR_FENCE ?? '';
  if (wanted !== '' && wanted !== 'partial') {
    throw new HyprError('HYPR_USAGE', `HYPR_FENCE is ${JSON.stringify(wanted)}; it can be partial`);
  }
  return wanted === 'partial' ? ['--without-files'] : [];
};

/** What holds on this host for machines; the reason where none is started. Costs one exec. */
export const probeMachineFence = async (launcher: string): Promise<MachineFence | string> => {
  try {
    const { code, stdout, stderr } = await runProgram(launcher, ['--probe', ...partialFence()], { timeout: 5000 });
    return code === 0 ? (JSON.parse(stdout) as MachineFence) : stderr.trim().replace(/^fence: /, '') || `the launcher ended with ${code}`;
  } catch (error) {
    return messageOf(error);
  }
};
