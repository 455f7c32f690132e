import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { MachineSpec } from '../../vmm/model/machine.ts';
import type { Tool, Toolchain } from '../../vmm/model/tools.ts';

/** A folder that goes away with the test. */
export const tempDir = (): string => {
  const dir = mkdtempSync(join(tmpdir(), 'hypr-vmm-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
};

export const tool = (file: string, prefix: readonly string[] = []): Tool => ({ file, prefix, version: '1.0', origin: 'toolchain' });

export const toolchain = (changes: Partial<Toolchain> = {}): Toolchain => ({
  id: 'abc',
  qemu: tool('/p/ld.so', ['--library-path', '/p/lib', '/p/qemu-system-x86_64']),
  qemuData: ['-L', '/p/share/qemu', '-L', '/p/share/seabios'],
  virtiofsd: tool('/p/virtiofsd'),
  mkfsErofs: tool('/p/mkfs.erofs'),
  mkfsExt4: tool('/p/mkfs.ext4'),
  resize2fs: tool('/p/resize2fs'),
  e2fsck: tool('/p/e2fsck'),
  gvproxy: tool('/p/gvproxy'),
  shareJail: '/p/share',
  machineJail: '/p/machine',
  tsc: '/p/tsc',
  preload: null,
  sharePreload: null,
  kernel: '/p/vmlinux',
  kernelRelease: '6.12.1-cloud-amd64',
  initramfs: '/p/initramfs.cpio',
  nestedInitramfs: '/p/initramfs-nested.cpio',
  ...changes,
});

export const spec = (changes: Partial<MachineSpec> = {}): MachineSpec => ({
  name: 'shop-db-1',
  runDir: '/run/m',
  consoleLog: '/log/console',
  vcpus: 2,
  memoryMib: 512,
  disks: [],
  nics: [],
  shares: [],
  ...changes,
});
