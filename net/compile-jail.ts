import { access } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { HyprError, isErrno } from '../base/errors.ts';
import { compileC } from '../base/host/compile.ts';

/**
 * Compiles net/jail.c into `outDir` and gives the program's path. The name holds the hash of the source,
 * so that a second call compiles nothing and a running one is never overwritten.
 * Throws TOOLCHAIN_MISSING without a C compiler, TOOLCHAIN_FAILED when it fails.
 */
export const compileJail = async (outDir: string, options: { signal?: AbortSignal } = {}): Promise<string> =>
  await compileC({ source: await findSource(), outDir, ...options });

/** Next to this module, or in net/ beside the bundle's folder. */
const findSource = async (): Promise<string> => {
  for (const relative of ['./jail.c', '../net/jail.c']) {
    const path = fileURLToPath(new URL(relative, import.meta.url));
    try {
      await access(path);
      return path;
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) {
        throw error;
      }
    }
  }
  throw new HyprError('TOOLCHAIN_MISSING', 'net/jail.c is not where it should be', { hint: 'install hypr again' });
};
