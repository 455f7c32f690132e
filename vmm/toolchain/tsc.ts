import { fileURLToPath } from 'node:url';
import { compileC } from '../../base/compile.ts';
import { exists } from '../../base/files.ts';

/** Beside this module's folder in the sources, or in vmm/ beside the bundle's folder. */
const PLACES = ['../tsc.c', '../vmm/tsc.c'];

/** The program that measures the host's time stamp counter. */
export const compileTsc = async (outDir: string, signal: AbortSignal): Promise<string> => {
  for (const place of PLACES) {
    const source = fileURLToPath(new URL(place, import.meta.url));
    if (await exists(source)) {
      return compileC({ source, outDir, signal });
    }
  }
  throw new Error('vmm/tsc.c is not where it should be');
};
