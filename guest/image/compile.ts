import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HyprError, isErrno } from '../../base/errors.ts';
import { muslArguments } from '../../base/host/compile.ts';
import { exists } from '../../base/host/files.ts';
import { runProgram } from '../../base/host/process.ts';

export interface CompileOptions {
  readonly signal?: AbortSignal | undefined;
  /** Where the C sources are; default: guest/agent. */
  readonly sources?: string;
  /**
   * An unpacked musl-dev package (`<dir>/usr/lib/x86_64-linux-musl`), used when there is no musl-gcc; the result is a
   * quarter of the size.
   */
  readonly musl?: string;
  /** An ordinary program on a unix socket instead of PID 1, for tests of the protocol. */
  readonly hostTest?: boolean;
}

const FLAGS = ['-std=gnu11', '-D_GNU_SOURCE', '-Os', '-Wall', '-Wextra', '-fno-strict-aliasing', '-ffunction-sections', '-fdata-sections'];
const LINK = ['-static', '-s', '-Wl,--gc-sections'];

interface Compiler {
  readonly file: string;
  readonly args: readonly string[];
  readonly after: readonly string[];
}

/**
 * Compiles the guest agent into `outDir/kestrel-<hash of sources and flags>` (static, stripped) and returns its path;
 * does nothing when that exists. Prefers musl-gcc, then the musl of the options, then gcc or cc with the host's static C
 * library. Throws TOOLCHAIN_MISSING without a compiler, TOOLCHAIN_FAILED with the compiler's last lines.
 */
export const compileKestrel = async (outDir: string, options: CompileOptions = {}): Promise<string> => {
  const folder = options.sources ?? (await findSources());
  const names = (await readdir(folder, { recursive: true })).filter((name) => /\.[ch]$/.test(name)).sort();
  const define = options.hostTest ? ['-DKESTREL_HOST_TEST'] : [];
  const hash = createHash('sha256').update(JSON.stringify([FLAGS, LINK, define, options.musl !== undefined]));
  for (const name of names) {
    hash.update(`${name}\0`).update(await readFile(join(folder, name)));
  }
  const out = join(outDir, `kestrel-${hash.digest('hex').slice(0, 16)}`);
  if (await exists(out)) {
    return out;
  }
  await mkdir(outDir, { recursive: true, mode: 0o700 });
  const files = names.filter((name) => name.endsWith('.c')).map((name) => join(folder, name));
  const aside = `${out}.${process.pid}.tmp`;
  try {
    await compile([...FLAGS, ...define, '-I', folder, ...files], aside, options);
    await rename(aside, out);
  } finally {
    await rm(aside, { force: true });
  }
  return out;
};

/** Beside this file when run from the sources, or relative to the bundle. */
const findSources = async (): Promise<string> => {
  for (const place of ['../agent', '../guest/agent']) {
    const folder = fileURLToPath(new URL(place, import.meta.url));
    if (await exists(join(folder, 'core/kestrel.c'))) {
      return folder;
    }
  }
  throw new HyprError('TOOLCHAIN_MISSING', 'the sources of the guest agent are not where they should be', { hint: 'install hypr again' });
};

const compile = async (args: readonly string[], out: string, options: CompileOptions): Promise<void> => {
  let failure: HyprError | undefined;
  for (const compiler of compilers(options)) {
    try {
      const all = [...compiler.args, ...args, ...LINK, '-o', out, ...compiler.after];
      const result = await runProgram(compiler.file, all, options.signal ? { signal: options.signal } : {});
      if (result.code === 0) {
        return;
      }
      const details = result.stderr.trim().split('\n').slice(-12);
      failure ??= new HyprError('TOOLCHAIN_FAILED', `${compiler.file} could not compile the guest agent`, { details });
    } catch (error) {
      // EACCES too: a PATH folder that this user may not enter makes a missing program look forbidden.
      if (!isErrno(error, 'ENOENT', 'EACCES', 'ENOTDIR')) {
        throw error;
      }
    }
  }
  throw (
    failure ??
    new HyprError('TOOLCHAIN_MISSING', 'there is no C compiler for the guest agent', {
      hint: 'install musl-gcc (package musl-tools), or gcc with the static C library (package libc6-dev)',
    })
  );
};

const compilers = (options: CompileOptions): Compiler[] => [
  {
    file: 'musl-gcc',
    args: ['-idirafter', '/usr/include', '-idirafter', `/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`],
    after: [],
  },
  ...(options.musl === undefined ? [] : [muslCompiler(options.musl)]),
  { file: 'gcc', args: [], after: [] },
  { file: 'cc', args: [], after: [] },
];

const muslCompiler = (prefix: string): Compiler => {
  const { before, after } = muslArguments(prefix);
  return { file: 'gcc', args: before, after };
};
