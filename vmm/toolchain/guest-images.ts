import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { exists } from '../../base/host/files.ts';
import { buildInitramfs, GUEST_MODULES, KVM_MODULES } from '../../guest/image/initramfs.ts';
import type { Tool, Toolchain } from '../model/tools.ts';
import type { Kernel } from './kernel.ts';

/**
 * Builds what guests start from into `parent`, unless it is there: the initramfs of an ordinary machine, and that of one that runs
 * machines itself (null where the kernel has no KVM). Throws TOOLCHAIN_MISSING where the kernel lacks another module.
 */
export const buildGuestImages = async (input: {
  readonly parent: string;
  readonly kestrel: string;
  readonly kernel: Kernel;
  readonly xz: Tool;
  readonly signal: AbortSignal;
}): Promise<Pick<Toolchain, 'initramfs' | 'nestedInitramfs'>> => ({
  initramfs: await buildOnce(input, 'initramfs', GUEST_MODULES),
  nestedInitramfs: await buildOnce(input, 'initramfs-nested', [...GUEST_MODULES, ...KVM_MODULES]).catch((error: unknown) => {
    if (error instanceof HyprError && error.code === 'TOOLCHAIN_MISSING') {
      return null;
    }
    throw error;
  }),
});

const buildOnce = async (input: Parameters<typeof buildGuestImages>[0], name: string, modules: readonly string[]): Promise<string> => {
  const { parent, kestrel, kernel, xz, signal } = input;
  const hash = createHash('sha256')
    .update(await readFile(kestrel))
    .update(kernel.release)
    .update(modules.join(' '))
    .digest('hex')
    .slice(0, 12);
  const out = join(parent, `${name}-${hash}.cpio`);
  if (!(await exists(out))) {
    await buildInitramfs({ kestrel, modulesDir: kernel.modules, release: kernel.release, modules, xz, signal }, out);
  }
  return out;
};
