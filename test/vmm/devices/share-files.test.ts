import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fileSystemsAt } from '../../../vmm/devices/share-files.ts';
import { compileSharePreload } from '../../../vmm/toolchain/sources.ts';
import { tempDir } from '../support.ts';

const line = (place: string, kind: string) => `36 35 98:0 / ${place} rw,noatime shared:1 - ${kind} /dev/x rw`;

describe('the file systems of a shared folder', () => {
  const mounts = [line('/', 'ext4'), line('/home', 'xfs'), line('/home/me/far', 'nfs4'), line('/mnt/a\\040b', 'btrfs'), ''].join('\n');

  it.each([
    ['/srv/app', ['ext4']],
    ['/home/me/app', ['xfs']],
    ['/homes', ['ext4']],
    ['/home/me', ['xfs', 'nfs4']],
    ['/home/me/far/app', ['nfs4']],
    ['/mnt/a b', ['btrfs']],
    ['/', ['ext4', 'xfs', 'nfs4', 'btrfs']],
  ])('of %s are %j', (path, kinds) => {
    expect(fileSystemsAt(path, mounts)).toEqual(kinds);
  });

  it('are those on top where several are mounted at one place', () => {
    expect(fileSystemsAt('/mnt/x', [line('/', 'ext4'), line('/mnt', 'nfs'), line('/mnt', 'tmpfs')].join('\n'))).toEqual(['tmpfs']);
  });

  it('are unknown where nothing is said', () => {
    expect(fileSystemsAt('/srv', '')).toEqual(['unknown']);
  });
});

it('the library of virtiofsd › answers dup with ENOSYS for files, and duplicates all else', async () => {
  const dir = tempDir();
  const library = await compileSharePreload(dir, new AbortController().signal);
  const body =
    'int p[2]; pipe(p); errno = 0; int a = dup(open(v[0], O_RDONLY)), e = errno; printf("%d %d %d", a, e == ENOSYS, dup(p[0]) > p[1]);';
  const headers = ['errno.h', 'fcntl.h', 'stdio.h', 'unistd.h'].map((name) => `#include <${name}>\n`).join('');
  await writeFile(join(dir, 'try.c'), `${headers}int main(int c, char **v) { ${body} return 0; }\n`);
  expect(spawnSync('gcc', ['-o', join(dir, 'try'), join(dir, 'try.c')]).status).toBe(0);
  expect(spawnSync(join(dir, 'try'), { env: { LD_PRELOAD: library ?? '' }, encoding: 'utf8' }).stdout).toBe('-1 1 1');
});
