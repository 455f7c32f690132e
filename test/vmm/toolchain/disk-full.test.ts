import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { neverAborts } from '../../../base/abort.ts';
import { HyprError } from '../../../base/errors.ts';
import { unpackKernel } from '../../../vmm/toolchain/kernel.ts';
import { unpackAll } from '../../../vmm/toolchain/prefix.ts';
import { tempDir, tool } from '../support.ts';

/** A disk that is full of what has been unpacked, until that is removed. */
vi.mock('../../../base/host/files.ts', async (original) => ({
  ...(await original<object>()),
  freeBytes: async (folder: string) => ((await readdir(folder)).length > 0 ? 0 : 1e9),
}));

const failed = new HyprError('TOOLCHAIN_FAILED', 'dpkg-deb ended with 2');

const unpack = async (_deb: string, folder: string): Promise<void> => {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'part'), 'half');
  throw failed;
};

it.each([
  ['packages', (parent: string) => unpackAll(['qemu.deb'], join(parent, 'prefix'), { unpack }, neverAborts())],
  [
    'the kernel',
    (parent: string) =>
      unpackKernel({
        deb: 'linux.deb',
        packages: { unpack },
        parent,
        release: '6.12',
        programs: { zstd: tool('zstd'), depmod: tool('depmod') },
        signal: neverAborts(),
      }),
  ],
])('a disk that fills up with %s is told, though what was unpacked is removed', async (_what, work) => {
  const parent = tempDir();
  await expect(work(parent)).rejects.toMatchObject({ code: 'HYPR_DISK_FULL', cause: failed });
  expect(await readdir(parent)).toEqual([]);
});
