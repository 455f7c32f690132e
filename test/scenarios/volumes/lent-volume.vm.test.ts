import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hypr, mustHypr } from '../../support/cli.ts';
import { TestStack } from '../../support/stack.ts';

const COMPOSE = `
services:
  app:
    image: debian
    command: sleep 100000
    stop_grace_period: 0s
    volumes: ['data:/data']
volumes: { data: {} }
`;

/** A volume of one replica is a disk of its machine; a one-off beside it has the same files, served by that machine. */
describe('run --rm of a service whose volume is in use', () => {
  let stack: TestStack;

  beforeAll(async () => {
    stack = await new TestStack('lent').write({ 'compose.yaml': COMPOSE });
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
    await stack.must(['exec', '-T', 'app', 'sh', '-c', 'mkdir /data/sub; echo of the service > /data/sub/f; chown -R 33:33 /data/sub']);
  });

  afterAll(() => stack?.close());

  const app = (script: string): Promise<string> => stack.must(['exec', '-T', 'app', 'sh', '-c', script]);
  const job = (script: string, ...flags: string[]) =>
    stack.run(['run', '--rm', '-T', ...flags, 'app', 'sh', '-c', script], { timeout: 120_000 });
  const must = async (script: string, ...flags: string[]): Promise<string> => {
    const run = await job(script, ...flags);
    expect(run, run.stderr).toMatchObject({ code: 0 });
    return run.stdout;
  };

  test('reads, writes, renames, links and removes, and the service sees it at once', async () => {
    const script = `
      cat /data/sub/f
      echo of the job > /data/new && mv /data/new /data/moved && ln /data/moved /data/hard && ln -s moved /data/soft
      mkdir -p /data/a/b/c && rmdir /data/a/b/c && dd if=/dev/zero of=/data/big bs=64k count=40 conv=fsync 2>/dev/null
      mkfifo /data/pipe && for i in $(seq 300); do echo $i > /data/a/file-$i; done; ls /data/a | wc -l
      stat -c '%s %h %F' /data/moved /data/big /data/soft /data/pipe; df -P /data | tail -1 | tr -s ' ' | cut -d' ' -f6`;
    expect(await must(script)).toBe('of the service\n301\n11 2 regular file\n2621440 1 regular file\n5 1 symbolic link\n0 1 fifo\n/data\n');
    expect(
      await app('cat /data/moved /data/hard; readlink /data/soft; stat -c %s /data/big; ls /data/a | wc -l; ls /data/new 2>&1; true'),
    ).toBe("of the job\nof the job\nmoved\n2621440\n301\nls: cannot access '/data/new': No such file or directory\n");
  });

  test('rights: new files are the caller’s, others may not read what is not theirs, modes and times and extended attributes stay', async () => {
    const own = 'touch /data/sub/mine && mkdir /data/sub/dir && stat -c "%u:%g %a" /data/sub/mine /data/sub/dir';
    expect(await must(`umask 027; ${own}`, '--user', '33:33')).toBe('33:33 640\n33:33 750\n');
    expect(await app('stat -c "%u:%g %a" /data/sub/mine /data/sub/dir')).toBe('33:33 640\n33:33 750\n');
    expect((await job('cat /data/sub/mine', '--user', '34:34')).stderr).toContain('Permission denied');
    expect((await job('chown 0 /data/sub/mine', '--user', '33:33')).stderr).toContain('Operation not permitted');
    const set = 'touch /data/x; chown 5:6 /data/x; chmod 4751 /data/x; touch -d @1000000000 /data/x';
    await must(set);
    expect(await app('stat -c "%u:%g %a %Y" /data/x')).toBe('5:6 4751 1000000000\n');
    // A write by who does not own it takes the set-user bit away.
    await must('chmod 4777 /data/x');
    await must('echo more >> /data/x', '--user', '33:33');
    expect(await app('stat -c %a /data/x')).toBe('777\n');
  });

  test('what both do to one file adds up: appends of two machines, locks of both kinds, a file that is removed while it is open', async () => {
    const append = 'for i in $(seq 200); do echo line >> /data/log; done';
    const [mine] = await Promise.all([must(`${append}; echo done`), app(append)]);
    expect(mine).toBe('done\n');
    expect(await app('wc -l < /data/log')).toBe('400\n');
    // The service holds it: one try fails, one that waits gets it when it is free.
    const holding = app('touch /data/lock; flock /data/lock sh -c "touch /data/held; sleep 6; echo service >> /data/order"');
    const tried =
      'until [ -e /data/held ]; do sleep 0.2; done; flock -n /data/lock true || echo taken; flock /data/lock sh -c "echo job >> /data/order"';
    expect(await must(tried)).toBe('taken\n');
    await holding;
    expect(await app('cat /data/order')).toBe('service\njob\n');
    expect(await must('exec 5<>/data/gone; echo kept >&5; rm /data/gone; stat -L -c %s /proc/self/fd/5; cat /proc/self/fd/5')).toBe(
      '5\nkept\n',
    );
  });

  test('names lead nowhere else: links of the volume are the machine’s own, and what is beside the volume is not there', async () => {
    await app('ln -sfn / /data/rootlink; ln -sfn ../.. /data/uplink; echo secret > /only-in-app');
    expect(
      await must('ls /data/rootlink/only-in-app /data/uplink/only-in-app /data/lost+found 2>&1 | grep -c "No such file"; ls -d /data/..'),
    ).toBe('3\n/data/..\n');
    expect((await job('mknod /data/disk b 254 0')).stderr).toContain('Operation not permitted');
  });

  test('volume export and import: a tar of a volume in use, with owners, and back', async () => {
    await app('mkdir -p /data/kept; echo to be saved > /data/kept/file; chown 33:44 /data/kept/file; chmod 640 /data/kept/file');
    const file = join(stack.dir, 'volume.tar');
    await mustHypr(['volume', 'export', 'lent_data', '-o', file], { env: stack.env });
    const list = execFileSync('tar', ['--numeric-owner', '-tvf', file], { encoding: 'utf8' });
    expect(list).toMatch(/-rw-r----- 33\/44 +12 .* \.\/kept\/file\n/);
    expect(list).not.toContain('lost+found');
    await app('rm -r /data/kept');
    await mustHypr(['volume', 'import', 'lent_data', file], { env: stack.env });
    expect(await app('cat /data/kept/file; stat -c "%u:%g %a" /data/kept/file')).toBe('to be saved\n33:44 640\n');
    expect(await hypr(['volume', 'export', 'nothing', '-o', file], { env: stack.env })).toMatchObject({ code: 1 });
  });

  test('the service ends: what the one-off does with the volume fails at once, and it is said', async () => {
    const running = job('touch /data/ready; while cat /data/sub/f >/dev/null; do sleep 0.3; done; echo over');
    await app('until [ -e /data/ready ]; do sleep 0.3; done');
    await stack.must(['stop', 'app']);
    const ended = await running;
    expect(ended.stdout).toBe('over\n');
    expect(ended.stderr).toMatch(/not connected|Input\/output error|connection abort/i);
    await stack.must(['start', 'app']);
    // The disk was at rest: nothing is lost, and the next one gets it again.
    expect(await must('cat /data/sub/f')).toBe('of the service\n');
  });
});
