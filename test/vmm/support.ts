import { mkdtempSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { GuestClient } from '../../guest/types.ts';
import type { Machine, MachineSpec } from '../../vmm/machine.ts';
import type { Tool, Toolchain } from '../../vmm/tools.ts';
import { processSpec, readAll } from '../guest/host-agent.ts';

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
  jail: '/p/jail',
  tsc: '/p/tsc',
  kernel: '/p/vmlinux',
  kernelRelease: '6.12.1-cloud-amd64',
  initramfs: '/p/initramfs.cpio',
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

/** A file of a guest, and what was said when it could not be read. */
export const cat = async (guest: GuestClient, path: string): Promise<string> => {
  const program = await guest.spawn(processSpec(['/bin/box', 'cat', path]));
  const { stdout, stderr } = await readAll(program);
  await program.exited;
  return (stdout + stderr).trim();
};

/** Whether the guest of a machine was booted by it: a clone's console begins empty. */
export const wasBooted = async (machine: Machine): Promise<boolean> =>
  (await readFile(machine.record.spec.consoleLog, 'utf8')).includes('waiting for orders');

export const randomHex = (): string => Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex');
