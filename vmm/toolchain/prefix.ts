import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import pLimit from 'p-limit';
import type { Apt } from '../../base/apt.ts';
import { exists } from '../../base/files.ts';
import { shortHash } from '../../base/paths.ts';
import { mustRun } from '../../base/process.ts';
import type { Tool } from '../tools.ts';

/** What is taken from Debian 13; apt adds the closure of libraries. */
export const PACKAGES = [
  'qemu-system-x86',
  'seabios',
  'virtiofsd',
  'erofs-utils',
  'squashfs-tools',
  'e2fsprogs',
  'zstd',
  'xz-utils',
] as const;

export interface Prefix {
  readonly root: string;
  /** Hash of the exact package versions. */
  readonly id: string;
  tool(path: string, version: string): Tool;
}

/**
 * Unpacks the closure into `parent/<id>`, made aside and renamed: a prefix that exists is whole. Nothing
 * is installed on the host; programs run through the prefix's own loader and libraries.
 */
export const makePrefix = async (input: {
  apt: Apt;
  parent: string;
  onPercent: (percent: number) => void;
  signal: AbortSignal;
}): Promise<Prefix> => {
  const resolved = await input.apt.resolve(PACKAGES);
  const id = shortHash(resolved.map(({ file, hash }) => `${file} ${hash}`).join('\n'), 12);
  const root = join(input.parent, `prefix-${id}`);
  if (!(await exists(root))) {
    const debs = await input.apt.download(PACKAGES, input.onPercent);
    await unpackAll(debs, root, input.signal);
  }
  return openPrefix(root, id);
};

export const openPrefix = (root: string, id: string): Prefix => ({
  root,
  id,
  tool: (path, version) => ({
    file: join(root, LOADER),
    prefix: ['--library-path', libraryPath(root), join(root, path)],
    version,
    origin: 'toolchain',
  }),
});

const LOADER = 'usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2';
/** QEMU finds pulseaudio's private library and its like only when told. */
const libraryPath = (root: string): string =>
  ['usr/lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu/pulseaudio'].map((dir) => join(root, dir)).join(':');

/** dpkg-deb writes each package on its own; side by side they only meet in directories. */
export const unpackAll = async (debs: readonly string[], root: string, signal: AbortSignal): Promise<void> => {
  const aside = `${root}.${process.pid}.tmp`;
  await rm(aside, { recursive: true, force: true });
  await mkdir(aside, { recursive: true, mode: 0o755 });
  try {
    // First what lays the merged-usr links, so that no package makes /lib a directory.
    const first = debs.filter((deb) => /\/base-files_/.test(deb));
    const rest = debs.filter((deb) => !first.includes(deb));
    const limit = pLimit(Math.max(1, cpus().length));
    for (const batch of [first, rest]) {
      await Promise.all(batch.map((deb) => limit(() => mustRun('dpkg-deb', ['-x', deb, aside], { signal }))));
    }
    await rename(aside, root);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
};

/** Version of a package in the closure, from the names of its files: `qemu-system-x86_1%3a10.0.2_amd64.deb`. */
export const versionIn = (files: readonly string[], name: string): string => {
  const file = files.find((candidate) => candidate.startsWith(`${name}_`)) ?? '';
  return decodeURIComponent(file.split('_')[1] ?? 'unknown').replace(/^\d+:/, '');
};

/** Folders of `parent` that are not in use any more. */
export const staleFolders = async (parent: string, keep: ReadonlySet<string>): Promise<string[]> =>
  (await readdir(parent)).filter((name) => /^(prefix|kernel)-/.test(name) && !keep.has(name)).map((name) => join(parent, name));
