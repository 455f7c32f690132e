import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openApt } from '../../base/apt.ts';
import { HyprError, isErrno } from '../../base/errors.ts';
import { exists, writeFileAtomic } from '../../base/files.ts';
import { withLock } from '../../base/lock.ts';
import { type HomePaths, homePaths, shortHash } from '../../base/paths.ts';
import { runProgram } from '../../base/process.ts';
import { noProgress, type ProgressSink } from '../../base/progress.ts';
import { compileKestrel } from '../../guest/compile.ts';
import { buildInitramfs } from '../../guest/initramfs.ts';
import type { Tool, Toolchain } from '../tools.ts';
import { makeGvproxy } from './gvproxy.ts';
import { makeKernel } from './kernel.ts';
import { makePrefix, type Prefix, versionIn } from './prefix.ts';
import { track } from './steps.ts';
import { compileTsc } from './tsc.ts';

export interface SetupOptions {
  readonly paths?: HomePaths;
  readonly progress?: ProgressSink;
  readonly signal?: AbortSignal;
  /** Compiles net/jail.c into a folder; given from above, because this floor does not know net. */
  readonly compileJail: (outDir: string, options: { signal?: AbortSignal }) => Promise<string>;
}

/**
 * Makes whatever of the toolchain is missing below HYPR_HOME/toolchain and records it in one manifest.
 * Parts are made aside and renamed, so it can be killed at any moment and called again; two callers do the work once.
 * Touches nothing outside HYPR_HOME, needs no root. Throws TOOLCHAIN_MISSING naming what to install.
 */
export const setupToolchain = async (options: SetupOptions): Promise<Toolchain> => {
  const paths = options.paths ?? homePaths();
  const progress = options.progress ?? noProgress;
  const signal = options.signal ?? new AbortController().signal;
  const onWait = () => progress({ id: 'Toolchain', status: 'working', text: 'Waiting', details: 'another hypr is setting up' });
  return withLock(join(paths.locks, 'toolchain.lock'), { what: 'the toolchain', timeout: SETUP_MS, signal, onWait }, async () => {
    await mkdir(paths.toolchain, { recursive: true, mode: 0o700 });
    const toolchain = await makeAll({ ...options, paths, progress, signal });
    await writeFileAtomic(manifestPath(paths), `${JSON.stringify(toolchain, null, 2)}\n`);
    return toolchain;
  });
};

const SETUP_MS = 30 * 60_000;

/** The toolchain that is ready, from its manifest alone; undefined when there is none or a file of it is gone. */
export const openToolchain = async (paths: HomePaths = homePaths()): Promise<Toolchain | undefined> => {
  try {
    const toolchain = JSON.parse(await readFile(manifestPath(paths), 'utf8')) as Toolchain;
    const files = [toolchain.kernel, toolchain.initramfs, toolchain.jail, toolchain.qemu.file];
    return (await Promise.all(files.map(exists))).every(Boolean) ? toolchain : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return undefined;
    }
    throw error;
  }
};

/** Like openToolchain, but its absence is an error that says what to do. */
export const needToolchain = async (paths: HomePaths = homePaths()): Promise<Toolchain> => {
  const toolchain = await openToolchain(paths);
  if (toolchain === undefined) {
    throw new HyprError('TOOLCHAIN_MISSING', 'the programs that hypr runs machines with are not set up yet', { hint: 'run: hypr setup' });
  }
  return toolchain;
};

/** How to spawn a tool with these arguments. */
export const toolCommand = (tool: Tool, args: readonly string[]): { file: string; args: string[] } => ({
  file: tool.file,
  args: [...tool.prefix, ...args],
});

const manifestPath = (paths: HomePaths): string => join(paths.toolchain, 'manifest.json');

type MakeInput = Required<Omit<SetupOptions, 'compileJail'>> & Pick<SetupOptions, 'compileJail'>;

/** Downloads and compilations side by side; the initramfs waits for kernel and agent. */
const makeAll = async ({ paths, progress, signal, compileJail }: MakeInput): Promise<Toolchain> => {
  const parent = paths.toolchain;
  const bin = join(parent, 'bin');
  const apt = await track(progress, 'Package index', 'Updated', () => openApt(join(paths.cache, 'apt'), undefined, signal));
  const prefixReady = track(progress, 'QEMU and disk tools', 'Ready', (percent) => makePrefix({ apt, parent, onPercent: percent, signal }));
  const kernelReady = prefixReady.then((prefix) =>
    track(progress, 'Guest kernel', 'Ready', () => makeKernel({ apt, parent, zstd: prefix.tool('usr/bin/zstd', ''), signal })),
  );
  const results = await Promise.allSettled([
    prefixReady,
    kernelReady,
    track(progress, 'gvproxy', 'Ready', () => makeGvproxy({ parent, signal })),
    track(progress, 'Guest agent', 'Compiled', () => compileKestrel(bin, { signal })),
    track(progress, 'Network jail', 'Compiled', () => compileJail(bin, { signal })),
    compileTsc(bin, signal),
  ]);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    throw failed.reason;
  }
  const [prefix, kernel, gvproxy, kestrel, jail, tsc] = results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as [
    Prefix,
    Awaited<ReturnType<typeof makeKernel>>,
    Tool,
    string,
    string,
    string,
  ];
  const initramfs = await track(progress, 'Initramfs', 'Ready', () => makeInitramfs({ parent, prefix, kernel, kestrel, signal }));
  const files = (await apt.resolve([])).map(({ file }) => file);
  return describe({ prefix, kernel, gvproxy, jail, tsc, initramfs, files, versions: await readVersions(prefix) });
};

const makeInitramfs = async (input: {
  parent: string;
  prefix: Prefix;
  kernel: { release: string; modules: string };
  kestrel: string;
  signal: AbortSignal;
}): Promise<string> => {
  const { parent, prefix, kernel, kestrel, signal } = input;
  const id = shortHash(`${kernel.release} ${await fileHash(kestrel)}`, 12);
  const out = join(parent, `initramfs-${id}.cpio`);
  if (!(await exists(out))) {
    await buildInitramfs({ kestrel, modulesDir: kernel.modules, release: kernel.release, xz: prefix.tool('usr/bin/xz', ''), signal }, out);
  }
  return out;
};

const fileHash = async (path: string): Promise<string> => shortHash((await readFile(path)).toString('latin1'), 16);

const readVersions = async (prefix: Prefix): Promise<Record<string, string>> => {
  const tool = prefix.tool('usr/bin/qemu-system-x86_64', '');
  const { stdout } = await runProgram(tool.file, [...tool.prefix, '--version'], { timeout: 20_000 });
  return { qemu: /version (\S+)/.exec(stdout)?.[1] ?? 'unknown' };
};

const describe = (input: {
  prefix: Prefix;
  kernel: { release: string; vmlinux: string };
  gvproxy: Tool;
  jail: string;
  tsc: string;
  initramfs: string;
  files: readonly string[];
  versions: Readonly<Record<string, string>>;
}): Toolchain => {
  const { prefix, kernel } = input;
  const tool = (path: string, name: string): Tool => prefix.tool(path, versionIn(input.files, name));
  return {
    id: shortHash(`${prefix.id} ${kernel.release} ${input.initramfs} ${input.gvproxy.version}`, 12),
    qemu: prefix.tool('usr/bin/qemu-system-x86_64', input.versions.qemu ?? 'unknown'),
    qemuData: ['-L', join(prefix.root, 'usr/share/qemu'), '-L', join(prefix.root, 'usr/share/seabios')],
    virtiofsd: tool('usr/libexec/virtiofsd', 'virtiofsd'),
    mkfsErofs: tool('usr/bin/mkfs.erofs', 'erofs-utils'),
    mkfsExt4: tool('usr/sbin/mkfs.ext4', 'e2fsprogs'),
    resize2fs: tool('usr/sbin/resize2fs', 'e2fsprogs'),
    e2fsck: tool('usr/sbin/e2fsck', 'e2fsprogs'),
    gvproxy: input.gvproxy,
    jail: input.jail,
    tsc: input.tsc,
    kernel: kernel.vmlinux,
    kernelRelease: kernel.release,
    initramfs: input.initramfs,
  };
};
