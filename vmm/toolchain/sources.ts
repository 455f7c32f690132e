import { fileURLToPath } from 'node:url';
import { compileC } from '../../base/compile.ts';
import { HyprError } from '../../base/errors.ts';
import { exists } from '../../base/files.ts';

/** The program that measures the host's time stamp counter. */
export const compileTsc = async (outDir: string, signal: AbortSignal): Promise<string> =>
  compileC({ source: await findSource('vmm/tsc.c'), outDir, signal });

/** The folder of the guest agent's sources. */
export const findGuestSources = async (): Promise<string> => (await findSource('guest/kestrel.c')).replace(/kestrel\.c$/, '');

/** A C file of the project, from the sources (two folders up) or from the bundle's folder (one up). */
const findSource = async (path: string): Promise<string> => {
  for (const up of ['../..', '..']) {
    const file = fileURLToPath(new URL(`${up}/${path}`, import.meta.url));
    if (await exists(file)) {
      return file;
    }
  }
  throw new HyprError('TOOLCHAIN_MISSING', `${path} is not where it should be`, { hint: 'install hypr again' });
};
