import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { writeFileAtomic } from '../../base/host/files.ts';
import { mustRun } from '../../base/host/process.ts';

/** What a guest needs beyond the drivers built into Debian's cloud kernel (virtio console and fs, ext4, fuse). */
export const GUEST_MODULES = ['virtio_pci', 'virtio_blk', 'virtio_net', 'erofs', 'overlay', 'squashfs', 'virtio_rng', 'virtio_balloon'];

/** What gives a guest /dev/kvm: the one of these that suits its processor, and the modules that they need. */
export const KVM_MODULES = ['kvm_intel', 'kvm_amd'];

export interface InitramfsOptions {
  /** Path of the compiled agent. */
  readonly kestrel: string;
  /** The folder that holds `<release>/modules.dep`, e.g. an unpacked package's usr/lib/modules. */
  readonly modulesDir: string;
  readonly release: string;
  /** Module names without .ko; those built in are left out. Default GUEST_MODULES. */
  readonly modules?: readonly string[];
  /** The xz program with what must come before its arguments; default `xz` from PATH. */
  readonly xz?: { readonly file: string; readonly prefix: readonly string[] };
  readonly signal?: AbortSignal;
}

/**
 * Writes an uncompressed newc cpio: kestrel as /init, the modules and what they need under /modules, and
 * /modules.load with their paths in loading order. The same inputs give the same bytes. Throws TOOLCHAIN_MISSING
 * for a module that is neither there nor built in.
 */
export const buildInitramfs = async (options: InitramfsOptions, out: string): Promise<void> => {
  const paths = await orderModules(join(options.modulesDir, options.release), options.modules ?? GUEST_MODULES);
  const entries: Entry[] = [
    directory('dev'),
    // PID 1's standard streams before devtmpfs is mounted.
    { name: 'dev/console', mode: 0o020600, data: EMPTY, device: [5, 1] },
    directory('modules'),
    { name: 'init', mode: 0o100755, data: await readFile(options.kestrel) },
  ];
  const load: string[] = [];
  for (const path of paths) {
    const name = `modules/${basename(path).replace(/\.xz$/, '')}`;
    entries.push({ name, mode: 0o100644, data: await readModule(join(options.modulesDir, options.release, path), options) });
    load.push(`/${name}\n`);
  }
  entries.push({ name: 'modules.load', mode: 0o100644, data: Buffer.from(load.join('')) });
  await writeFileAtomic(out, writeCpio(entries), 0o644);
};

/** Orders modules so that dependencies come first. modules.dep: `kernel/a.ko.xz: kernel/b.ko.xz …`, the nearest dependency first. */
const orderModules = async (folder: string, wanted: readonly string[]): Promise<string[]> => {
  const dependencies = new Map<string, string[]>();
  const byName = new Map<string, string>();
  for (const line of (await readFile(join(folder, 'modules.dep'), 'utf8')).split('\n')) {
    const [path, rest] = line.split(':');
    if (path !== undefined && rest !== undefined) {
      dependencies.set(path, rest.split(' ').filter(Boolean));
      byName.set(moduleName(path), path);
    }
  }
  const builtin = new Set((await readFile(join(folder, 'modules.builtin'), 'utf8')).split('\n').map(moduleName));
  const ordered: string[] = [];
  for (const name of wanted) {
    const path = byName.get(name);
    if (path === undefined && !builtin.has(name)) {
      throw new HyprError('TOOLCHAIN_MISSING', `the guest kernel in ${folder} has no module ${name}`);
    }
    for (const needed of path === undefined ? [] : [...(dependencies.get(path) ?? []).slice().reverse(), path]) {
      if (!ordered.includes(needed)) {
        ordered.push(needed);
      }
    }
  }
  return ordered;
};

const moduleName = (path: string): string =>
  basename(path)
    .replace(/\.ko(\.xz)?$/, '')
    .replaceAll('-', '_');

/** Node has no xz: the program writes the module aside, byte for byte. */
const readModule = async (path: string, options: InitramfsOptions): Promise<Buffer> => {
  if (!path.endsWith('.xz')) {
    return readFile(path);
  }
  const { file, prefix } = options.xz ?? { file: 'xz', prefix: [] };
  const folder = await mkdtemp(join(tmpdir(), 'hypr-xz-'));
  try {
    await copyFile(path, join(folder, 'm.ko.xz'));
    await mustRun(file, [...prefix, '-d', join(folder, 'm.ko.xz')], options.signal ? { signal: options.signal } : {});
    return await readFile(join(folder, 'm.ko'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

interface Entry {
  readonly name: string;
  readonly mode: number;
  readonly data: Buffer;
  readonly device?: readonly [number, number];
}

const EMPTY = Buffer.alloc(0);
const directory = (name: string): Entry => ({ name, mode: 0o040755, data: EMPTY });

/** The newc format of cpio(5): ASCII hex heads, everything padded to 4 bytes; all times and owners 0. */
const writeCpio = (entries: readonly Entry[]): Buffer => {
  const parts: Buffer[] = [];
  [...entries, { name: 'TRAILER!!!', mode: 0, data: EMPTY }].forEach((entry: Entry, index) => {
    const name = Buffer.from(`${entry.name}\0`);
    const [major, minor] = entry.device ?? [0, 0];
    const links = entry.mode === 0o040755 ? 2 : 1;
    const numbers = [index + 1, entry.mode, 0, 0, links, 0, entry.data.length, 0, 0, major, minor, name.length, 0];
    const head = Buffer.from(`070701${numbers.map((number) => number.toString(16).padStart(8, '0')).join('')}`);
    parts.push(pad(Buffer.concat([head, name]), 4), pad(entry.data, 4));
  });
  return pad(Buffer.concat(parts), 512);
};

const pad = (bytes: Buffer, to: number): Buffer => {
  const rest = bytes.length % to;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(to - rest)]);
};
