import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HyprError, messageOf } from '../../base/errors.ts';
import { compileC } from '../../base/host/compile.ts';
import { exists } from '../../base/host/files.ts';
import { logger } from '../../base/log.ts';

const log = logger('toolchain');

/** The program that measures the host's time stamp counter. */
export const compileTsc = async (outDir: string, signal: AbortSignal, musl?: string): Promise<string> =>
  compileC({ source: await findSource('vmm/tsc.c'), outDir, signal, ...(musl ? { musl } : {}) });

/** The fence of virtiofsd, and what watches shared folders. */
export const compileShareJail = async (outDir: string, signal?: AbortSignal, musl?: string): Promise<string> =>
  compileC({
    source: await findSource('vmm/jail/share.c'),
    parts: [...JAIL_PARTS, 'watch.h', 'watch.c'],
    outDir,
    ...(signal ? { signal } : {}),
    ...(musl ? { musl } : {}),
  });

/** The fence of QEMU. */
export const compileMachineJail = async (outDir: string, signal?: AbortSignal, musl?: string): Promise<string> =>
  compileC({
    source: await findSource('vmm/jail/machine.c'),
    parts: [...JAIL_PARTS, 'calls.c', 'pass.c'],
    outDir,
    ...(signal ? { signal } : {}),
    ...(musl ? { musl } : {}),
  });

const JAIL_PARTS = ['fence.h', 'common.c', 'landlock.c', 'view.c'];

/**
 * The library that is preloaded into QEMU; null if it cannot be compiled. Then copies and memory
 * that is given back are missing, and a machine dies of SIGSYS at the first system call that its fence refuses.
 */
export const compilePreload = async (outDir: string, signal: AbortSignal): Promise<string | null> => {
  try {
    return await compileC({ source: await findSource('vmm/preload/zygote.c'), parts: PRELOAD_PARTS, outDir, library: true, signal });
  } catch (error) {
    signal.throwIfAborted();
    log.warn('machines are not copied and give no memory back, and one ends at the first system call that its fence refuses', {
      reason: messageOf(error),
      details: error instanceof HyprError ? error.details : [],
    });
    return null;
  }
};

const PRELOAD_PARTS = [
  ...['preload.h', 'threads.c', 'copy.c', 'memory.c', 'limits.c', 'refused.c'],
  ...['../jail/fence.h', '../jail/landlock.c'],
];

/** The library that is preloaded into virtiofsd; null if it cannot be compiled: then each close of a file is a request more. */
export const compileSharePreload = async (outDir: string, signal: AbortSignal): Promise<string | null> => {
  try {
    return await compileC({ source: await findSource('vmm/preload/shares.c'), parts: SHARE_PARTS, outDir, library: true, signal });
  } catch (error) {
    signal.throwIfAborted();
    log.warn('shared folders are slower', { reason: messageOf(error), details: error instanceof HyprError ? error.details : [] });
    return null;
  }
};

const SHARE_PARTS = ['own_edits.h', 'own_edits.c', 'new_folder.h', 'new_folder.c'];

/** The folder of the guest agent's sources. */
export const findGuestSources = async (): Promise<string> => dirname(dirname(await findSource('guest/agent/core/kestrel.c')));

/** A C file of the project, from the sources (two folders up) or from the bundle's folder (one up). */
/** From dist/ first, then from vmm/toolchain/: what lies beside a clone is nobody's source. */
const findSource = async (path: string): Promise<string> => {
  for (const up of ['..', '../..']) {
    const file = fileURLToPath(new URL(`${up}/${path}`, import.meta.url));
    if (await exists(file)) {
      return file;
    }
  }
  throw new HyprError('TOOLCHAIN_MISSING', `${path} is missing`, { hint: 'install hypr again' });
};
