import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { HyprError, isErrno } from '../errors.ts';
import { shortHash } from '../paths.ts';
import { exists } from './files.ts';
import { type RunResult, runProgram } from './process.ts';

/** Tried in this order. musl makes the smallest binary; a dynamic one is the last resort, and only for programs that run on this host. */
const COMPILERS: ReadonlyArray<readonly [compiler: string, before: readonly string[], after?: readonly string[]]> = [
  ['musl-gcc', ['-static']],
  ['gcc', ['-static']],
  ['cc', ['-static']],
  ['gcc', []],
  ['cc', []],
];

/** For a shared library. */
const LIBRARY_COMPILERS: typeof COMPILERS = [
  ['gcc', ['-shared', '-fPIC']],
  ['cc', ['-shared', '-fPIC']],
];

/** Nothing of the folders it was made in, and no symbols: the same sources and compiler give the same bytes everywhere. */
const plainOutput = (source: string): string[] => ['-s', `-ffile-prefix-map=${dirname(source)}=.`];

/**
 * Compiles C to a program or a library in `outDir` and returns its path. The name contains the hash of the sources, so a
 * second call compiles nothing, and a running program is never overwritten. Throws TOOLCHAIN_MISSING
 * without a compiler, TOOLCHAIN_FAILED with the compiler's output if it fails.
 */
export const compileC = async (input: CompileInput): Promise<string> => {
  const name = basename(input.source, '.c');
  const suffix = input.library ? '.so' : '';
  const target = join(input.outDir, `${name}-${shortHash(await readAll(input), 12)}${suffix}`);
  if (await exists(target)) {
    return target;
  }
  await mkdir(input.outDir, { recursive: true, mode: 0o700 });
  const staging = `${target}.${process.pid}.tmp`;
  try {
    await tryAll(input, staging);
    await rename(staging, target);
  } finally {
    await rm(staging, { force: true });
  }
  return target;
};

interface CompileInput {
  readonly source: string;
  /** Other files it needs: further sources, and headers. */
  readonly parts?: readonly string[];
  readonly outDir: string;
  readonly library?: boolean;
  /** An unpacked musl-dev package, whose C library is tried first; not for libraries. */
  readonly musl?: string;
  readonly signal?: AbortSignal;
}

const programCompilers = (musl: string | undefined): typeof COMPILERS => {
  if (musl === undefined) {
    return COMPILERS;
  }
  const { before, after } = muslArguments(musl);
  return [['gcc', ['-static', ...before], after], ...COMPILERS];
};

/** Arguments of gcc for another C library, before and after the sources: its headers first, the host's kernel headers last. */
export const muslArguments = (prefix: string): { before: string[]; after: string[] } => {
  const triple = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const include = join(prefix, `usr/include/${triple}-linux-musl`);
  const lib = join(prefix, `usr/lib/${triple}-linux-musl`);
  return {
    before: [
      ...['-nostdinc', '-isystem', include, '-idirafter', '/usr/include', '-idirafter', `/usr/include/${triple}-linux-gnu`],
      ...['-nostdlib', '-fno-stack-protector', join(lib, 'crt1.o'), join(lib, 'crti.o')],
    ],
    after: [`-L${lib}`, '-Wl,--start-group', '-lc', '-lgcc', '-Wl,--end-group', join(lib, 'crtn.o')],
  };
};

const readAll = async (input: CompileInput): Promise<string> =>
  (await Promise.all(filesOf(input).map((file) => readFile(file, 'utf8')))).join('');

const filesOf = ({ source, parts = [] }: CompileInput): string[] => [source, ...parts.map((name) => join(dirname(source), name))];

const tryAll = async (input: CompileInput, target: string): Promise<void> => {
  const { source, library, signal } = input;
  const sources = filesOf(input).filter((file) => file.endsWith('.c'));
  let failed: { compiler: string; result: RunResult } | undefined;
  const plain = ['-std=gnu11', '-O2', '-Wall', ...plainOutput(input.source)];
  for (const [compiler, flags, after] of library ? LIBRARY_COMPILERS : programCompilers(input.musl)) {
    const result = await tryCompiler(compiler, [...plain, ...flags, '-o', target, ...sources, ...(after ?? [])], signal);
    if (result?.code === 0) {
      return;
    }
    failed = result === undefined ? failed : { compiler, result };
  }
  if (failed === undefined) {
    throw new HyprError('TOOLCHAIN_MISSING', 'no C compiler is in PATH', { hint: 'apt-get install gcc libc6-dev' });
  }
  throw new HyprError('TOOLCHAIN_FAILED', `${failed.compiler} could not compile ${basename(source)}`, {
    details: failed.result.stderr.trim().split('\n').slice(-12),
  });
};

const tryCompiler = async (compiler: string, args: readonly string[], signal: AbortSignal | undefined): Promise<RunResult | undefined> => {
  try {
    return await runProgram(compiler, args, { timeout: 120_000, ...(signal ? { signal } : {}) });
  } catch (error) {
    // Also EACCES, which a folder in PATH without permission gives for a missing program.
    if (isErrno(error, 'ENOENT', 'EACCES', 'ENOTDIR')) {
      return undefined;
    }
    throw error;
  }
};
