import { fileURLToPath } from 'node:url';
import { compileC } from '../../base/compile.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import { exists } from '../../base/files.ts';
import { logger } from '../../base/log.ts';

const log = logger('toolchain');

/** The program that measures the host's time stamp counter. */
export const compileTsc = async (outDir: string, signal: AbortSignal): Promise<string> =>
  compileC({ source: await findSource('vmm/tsc.c'), outDir, signal });

/** What QEMU is loaded with to make copies of itself; undefined where that cannot be had, which costs nothing but time. */
export const compileZygote = async (outDir: string, signal: AbortSignal): Promise<string | undefined> => {
  if (process.arch !== 'x64') {
    return undefined;
  }
  try {
    return await compileC({ source: await findSource('vmm/zygote/zygote.c'), parts: ZYGOTE_PARTS, outDir, library: true, signal });
  } catch (error) {
    signal.throwIfAborted();
    log.warn('no machine will be a copy of another', {
      reason: messageOf(error),
      details: error instanceof HyprError ? error.details : [],
    });
    return undefined;
  }
};

const ZYGOTE_PARTS = ['zygote.h', 'threads.c', 'copy.c'];

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
