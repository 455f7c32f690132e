import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { HyprError, isErrno } from './errors.ts';
import { exists } from './files.ts';
import { shortHash } from './paths.ts';
import { type RunResult, runProgram } from './process.ts';

/** In the order tried. musl's binary is the smallest; a dynamic one is the last resort, for programs that only run here. */
const COMPILERS: ReadonlyArray<readonly [string, readonly string[]]> = [
  ['musl-gcc', ['-static']],
  ['gcc', ['-static']],
  ['cc', ['-static']],
  ['gcc', []],
  ['cc', []],
];

/**
 * Compiles one C file into `outDir` and gives the program's path, named after the hash of its source: a
 * second call compiles nothing, and a running program is never overwritten. Throws TOOLCHAIN_MISSING
 * without a compiler, TOOLCHAIN_FAILED with its words when it fails.
 */
export const compileC = async (input: { source: string; outDir: string; signal?: AbortSignal }): Promise<string> => {
  const name = basename(input.source, '.c');
  const target = join(input.outDir, `${name}-${shortHash(await readFile(input.source, 'utf8'), 12)}`);
  if (await exists(target)) {
    return target;
  }
  await mkdir(input.outDir, { recursive: true, mode: 0o700 });
  const aside = `${target}.${process.pid}.tmp`;
  try {
    await tryAll(input.source, aside, input.signal);
    await rename(aside, target);
  } finally {
    await rm(aside, { force: true });
  }
  return target;
};

const tryAll = async (source: string, target: string, signal: AbortSignal | undefined): Promise<void> => {
  let failed: { compiler: string; result: RunResult } | undefined;
  for (const [compiler, flags] of COMPILERS) {
    const result = await tryCompiler(compiler, ['-std=gnu11', '-O2', '-Wall', ...flags, '-o', target, source], signal);
    if (result?.code === 0) {
      return;
    }
    failed = result === undefined ? failed : { compiler, result };
  }
  if (failed === undefined) {
    throw new HyprError('TOOLCHAIN_MISSING', 'a C compiler is needed, and none is in PATH', { hint: 'apt-get install gcc libc6-dev' });
  }
  throw new HyprError('TOOLCHAIN_FAILED', `${failed.compiler} could not compile ${basename(source)}`, {
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
