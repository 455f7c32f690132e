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

describe('the library of virtiofsd', () => {
  /** What a program prints that is loaded with it; `v[1]` is a file, `v[2]` its folder. */
  const run = async (body: string): Promise<string> => {
    const dir = tempDir();
    const library = await compileSharePreload(dir, new AbortController().signal);
    const headers = ['errno.h', 'fcntl.h', 'stdio.h', 'sys/stat.h', 'sys/syscall.h', 'sys/uio.h', 'sys/xattr.h', 'unistd.h'];
    const text = headers.map((name) => `#include <${name}>\n`).join('');
    await writeFile(join(dir, 'try.c'), `#define _GNU_SOURCE\n${text}${TOLD}int main(int c, char **v) { ${body} return 0; }\n`);
    await writeFile(join(dir, 'file'), 'content');
    expect(spawnSync('gcc', ['-o', join(dir, 'try'), join(dir, 'try.c')], { encoding: 'utf8' })).toMatchObject({
      status: 0,
    });
    return spawnSync(join(dir, 'try'), [join(dir, 'file'), dir], { env: { LD_PRELOAD: library ?? '' }, encoding: 'utf8' }).stdout;
  };

  it('answers dup with ENOSYS for files, and duplicates all else', async () => {
    const body =
      'int p[2]; pipe(p); errno = 0; int a = dup(open(v[0], O_RDONLY)), e = errno; printf("%d %d %d", a, e == ENOSYS, dup(p[0]) > p[1]);';
    expect(await run(body)).toBe('-1 1 1');
  });

  it('does nothing to a file of which a guest tells its programs', async () => {
    const body = `
      struct stat before, after;
      stat(v[1], &before);
      int fd = openat(AT_FDCWD, v[1], TOLD_OPEN), plain = open(v[1], O_RDONLY);
      printf("%d %d ", (int)write(fd, "x", 1), fallocate64(fd, FALLOC_FL_KEEP_SIZE, TOLD_OFFSET, 1));
      printf("%d %d ", (int)fgetxattr(plain, "hypr.told", NULL, 0), fsetxattr(plain, "hypr.told", "", 0, 0));
      stat(v[1], &after);
      printf("%d", before.st_ctim.tv_nsec == after.st_ctim.tv_nsec && before.st_size == after.st_size);`;
    expect(await run(body)).toBe('-1 0 0 0 1');
  });

  it.each([
    ['written', 'struct iovec part = {"x", 1}; pwritev2(fd, &part, 1, 0, 0);'],
    ['cut', 'ftruncate(fd, 1);'],
    ['given a mode', 'fchmod(fd, 0600);'],
    ['given a time', 'futimens(fd, NULL);'],
    ['emptied', 'openat(AT_FDCWD, v[1], O_WRONLY | O_TRUNC);'],
    ['renamed', 'syscall(SYS_renameat2, folder, "file", folder, "other", 0);'],
    ['linked', 'linkat(folder, "file", folder, "other", 0);'],
  ])('refuses to tell of a file that the guest itself has %s, until somebody else changes it', async (_, change) => {
    const body = `
      int fd = open(v[1], O_RDWR), folder = open(v[2], O_RDONLY);
      fgetxattr(fd, "hypr.told", NULL, 0);
      ${change}
      printf("%d ", fsetxattr(fd, "hypr.told", "", 0, 0));
      usleep(20000);
      fchown(fd, -1, -1), pwrite(fd, "y", 1, 0);
      printf("%d", fsetxattr(fd, "hypr.told", "", 0, 0));`;
    expect(await run(body)).toBe('-1 0');
  });

  it('hides a folder of which a guest tells as new until it is made, and makes nothing with that mode', async () => {
    const body = `
      int folder = open(v[2], O_RDONLY);
      mkdirat(folder, "new", 0700);
      fsetxattr(folder, "hypr.told", "new", 3, 0);
      printf("%d ", openat(folder, "new", O_PATH));
      printf("%d ", openat(folder, "file", O_PATH) > 0);
      printf("%d ", mkdirat(folder, "new", 01117));
      printf("%d ", openat(folder, "new", O_PATH) > 0);
      printf("%d %d", mkdirat(folder, "other", 01117), openat(folder, "other", O_PATH));`;
    expect(await run(body)).toBe('-1 1 0 1 -1 -1');
  });

  it('refuses to tell of a folder in which the guest itself has made or removed something last', async () => {
    const told = 'printf("%d ", fsetxattr(folder, "hypr.told", "", 0, 0)); usleep(20000);';
    const body = `
      int folder = open(v[2], O_RDONLY);
      fgetxattr(folder, "hypr.told", NULL, 0);
      mkdirat(folder, "a", 0700); ${told}
      chdir(v[2]); creat("b", 0600); ${told}
      unlinkat(folder, "b", 0); ${told}`;
    expect(await run(body)).toBe('-1 0 -1 ');
  });
});

const TOLD = '#define TOLD_OPEN (O_WRONLY | O_SYNC | O_ASYNC | O_NONBLOCK)\n#define TOLD_OFFSET (1LL << 60)\n';
