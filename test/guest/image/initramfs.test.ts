import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mustRun } from '../../../base/host/process.ts';
import { buildInitramfs } from '../../../guest/image/initramfs.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hypr-cpio-'));
  const modules = join(folder, 'lib/6.1/kernel');
  await mkdir(modules, { recursive: true });
  await writeFile(join(folder, 'kestrel'), 'ELF');
  for (const name of ['a', 'b', 'c-d']) {
    await writeFile(join(modules, `${name}.ko`), `module ${name}`);
  }
  await mustRun('xz', [join(modules, 'b.ko')]);
  await writeFile(
    join(folder, 'lib/6.1/modules.dep'),
    'kernel/a.ko: kernel/b.ko.xz kernel/c-d.ko\nkernel/b.ko.xz: kernel/c-d.ko\nkernel/c-d.ko:\n',
  );
  await writeFile(join(folder, 'lib/6.1/modules.builtin'), 'kernel/fs/ext4/ext4.ko\n');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const build = (modules: readonly string[], out = 'out') =>
  buildInitramfs({ kestrel: join(folder, 'kestrel'), modulesDir: join(folder, 'lib'), release: '6.1', modules }, join(folder, out));

/** Names, modes and contents of a newc archive. */
const readCpio = (bytes: Buffer): Array<[string, string, string]> => {
  const entries: Array<[string, string, string]> = [];
  for (let at = 0; ; ) {
    const number = (index: number) => Number.parseInt(bytes.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16);
    const [mode, size, nameSize] = [number(1), number(6), number(11)];
    const name = bytes.toString('latin1', at + 110, at + 110 + nameSize - 1);
    const data = at + ((110 + nameSize + 3) & ~3);
    if (name === 'TRAILER!!!') {
      return entries;
    }
    entries.push([name, mode.toString(8), bytes.toString('latin1', data, data + size)]);
    at = data + ((size + 3) & ~3);
  }
};

describe('buildInitramfs', () => {
  it('holds the agent, the modules decompressed, and their order', async () => {
    await build(['a', 'ext4']);
    expect(readCpio(await readFile(join(folder, 'out')))).toEqual([
      ['dev', '40755', ''],
      ['dev/console', '20600', ''],
      ['modules', '40755', ''],
      ['init', '100755', 'ELF'],
      ['modules/c-d.ko', '100644', 'module c-d'],
      ['modules/b.ko', '100644', 'module b'],
      ['modules/a.ko', '100644', 'module a'],
      ['modules.load', '100644', '/modules/c-d.ko\n/modules/b.ko\n/modules/a.ko\n'],
    ]);
  });

  it('gives the same bytes for the same inputs', async () => {
    await build(['c_d', 'b'], 'one');
    await build(['c_d', 'b'], 'two');
    expect(await readFile(join(folder, 'one'))).toEqual(await readFile(join(folder, 'two')));
  });

  it('names a module that the kernel does not have', async () => {
    await expect(build(['zfs'])).rejects.toMatchObject({ code: 'TOOLCHAIN_MISSING', message: expect.stringContaining('zfs') });
  });
});
