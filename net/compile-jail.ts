import { access, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HyprError, isErrno } from '../base/errors.ts';
import { exists } from '../base/files.ts';
import { shortHash } from '../base/paths.ts';
import { type RunResult, runProgram } from '../base/process.ts';

/** In the order tried. musl's binary is the smallest; a dynamic one is the last resort (it still only runs here). */
const COMPILERS: ReadonlyArray<readonly [string, readonly string[]]> = [
  ['musl-gcc', ['-static']],
  ['gcc', ['-static']],
  ['cc', ['-static']],
  ['gcc', []],
  ['cc', []],
];

/**
 * Compiles net/jail.c into `outDir` and gives the program's path. The name holds the hash of the source,
 * so that a second call compiles nothing and a running one is never overwritten.
 * Throws TOOLCHAIN_MISSING without a C compiler, TOOLCHAIN_FAILED when it fails.
 */
export const compileJail = async (outDir: string, options: { signal?: AbortSignal } = {}): Promise<string> => {
  const source = await findSource();
  const target = join(outDir, `jail-${shortHash(await readFile(source, 'utf8'), 12)}`);
  if (await exists(target)) {
    return target;
  }
  await mkdir(outDir, { recursive: true, mode: 0o700 });
  const aside = `${target}.${process.pid}.tmp`;
  try {
    await compile(source, aside, options.signal);
    await rename(aside, target);
  } finally {
    await rm(aside, { force: true });
  }
  return target;
};

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

const compile = async (source: string, target: string, signal: AbortSignal | undefined): Promise<void> => {
  let failed: { compiler: string; result: RunResult } | undefined;
  for (const [compiler, flags] of COMPILERS) {
    const result = await tryCompiler(compiler, ['-std=c11', '-O2', '-Wall', ...flags, '-o', target, source], signal);
    if (result?.code === 0) {
      return;
    }
    failed = result === undefined ? failed : { compiler, result };
  }
  if (failed === undefined) {
    throw new HyprError('TOOLCHAIN_MISSING', 'a C compiler is needed for the fence round gvproxy, and none is in PATH', {
      hint: 'install gcc (Debian, Ubuntu: apt install gcc libc6-dev)',
    });
  }
  throw new HyprError('TOOLCHAIN_FAILED', `${failed.compiler} could not compile net/jail.c`, {
    details: failed.result.stderr.trim().split('\n').slice(-12),
  });
};

const tryCompiler = async (compiler: string, args: readonly string[], signal: AbortSignal | undefined): Promise<RunResult | undefined> => {
  try {
    return await runProgram(compiler, args, { timeout: 120_000, ...(signal ? { signal } : {}) });
  } catch (error) {
    // EACCES too: a folder in PATH that this user may not enter makes a missing program look forbidden.
    if (isErrno(error, 'ENOENT', 'EACCES', 'ENOTDIR')) {
      return undefined;
    }
    throw error;
  }
};
