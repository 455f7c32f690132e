import { mkdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { memoryMounts, writesToMemory } from '../../../vmm/qemu/memory-files.ts';
import { onlyWhere } from '../../support/needs.ts';
import { tempDir } from '../support.ts';

const hasMemory = (): string | false => {
  try {
    return statfsSync('/dev/shm').type === 0x01021994 ? false : '/dev/shm is no tmpfs here';
  } catch {
    return 'there is no /dev/shm here';
  }
};

describe('what a guest writes', () => {
  onlyWhere(hasMemory()).it('is memory where a writable share or disk is on tmpfs', async () => {
    const shared = { path: '/dev/shm', readOnly: false };
    expect(await writesToMemory({ disks: [], shares: [shared] })).toBe(true);
    expect(await writesToMemory({ disks: [shared], shares: [] })).toBe(true);
    const readOnly = { ...shared, readOnly: true };
    expect(await writesToMemory({ disks: [readOnly], shares: [readOnly] })).toBe(false);
  });

  it('is memory where a tmpfs is below the folder that is shared', async () => {
    const dir = tempDir();
    const [folder, mounts] = [join(dir, 'a b'), join(dir, 'mountinfo')];
    mkdirSync(folder);
    const tmpfsAt = (path: string) => writeFileSync(mounts, `41 25 0:33 / ${path.replaceAll(' ', '\\040')} rw shared:1 - tmpfs tmpfs rw\n`);
    const isMemory = () => writesToMemory({ disks: [], shares: [{ path: folder, readOnly: false }] }, mounts);
    tmpfsAt(join(folder, 'cache'));
    expect(await isMemory()).toBe(true);
    tmpfsAt(`${folder}2`);
    expect(await isMemory()).toBe(statfsSync(folder).type === 0x01021994);
  });

  it('is none in a share that is gone', async () => {
    expect(await writesToMemory({ disks: [], shares: [{ path: join(tempDir(), 'gone'), readOnly: false }] }, '/nothing')).toBe(false);
  });
});

test('file systems that are memory are found among the mounts', () => {
  const text = '25 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 25 0:26 / /dev/shm rw,nosuid shared:4 master:1 - tmpfs tmpfs rw\n';
  expect(memoryMounts(`${text}31 25 0:27 / /a\\134b rw - ramfs none rw\n`)).toEqual(['/dev/shm', '/a\\b']);
});
