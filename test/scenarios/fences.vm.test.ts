import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { processesOf, TestStack } from '../support/stack.ts';

/** What the guest's root can get at of the host beyond what it was given: it is root of its own kernel, with or without capabilities. */
describe('a guest that owns its kernel', () => {
  const stack = new TestStack('fences');
  const inGuest = (service: string, script: string) => stack.run(['exec', '-T', service, 'sh', '-c', script]);
  const hostFile = (name: string) => join(stack.dir, name);

  beforeAll(async () => {
    await stack.write({
      'app.conf': 'from the host\n',
      'only.conf': 'only to be read\n',
      'secret.txt': 'not given\n',
      'large.bin': 'x'.repeat(5 * 2 ** 20),
      'compose.yaml': `
services:
  files:
    image: busybox
    command: sleep 3600
    init: true
    privileged: true
    volumes: ["./app.conf:/etc/app.conf", "./only.conf:/etc/only.conf:ro", "./large.bin:/large.bin:ro"]
  plain:
    image: busybox
    command: sleep 3600
    init: true
    volumes: ["./only.conf:/etc/only.conf:ro", "data:/data:ro"]
  writer:
    image: busybox
    profiles: [first]
    command: sh -c 'echo kept > /data/file && sync && sleep 3600'
    volumes: ["own:/data"]
  reader:
    image: busybox
    profiles: [second]
    command: sleep 3600
    init: true
    volumes: ["own:/data:ro"]
volumes: { data: {}, own: {} }
`,
    });
    await stack.must(['up', '-d'], { timeout: 400_000 });
  });
  afterAll(() => stack.close());

  test('sees of a bound file nothing but that file, though it mounts the share by hand', async () => {
    const script =
      'for tag in share0 share1 share2; do mkdir -p /m/$tag; mount -t virtiofs $tag /m/$tag 2>/dev/null && ls -A /m/$tag; cat /m/$tag/secret.txt /m/$tag/../secret.txt; echo x > /m/$tag/new; done; grep virtiofs /proc/mounts';
    const { stdout, stderr } = await inGuest('files', script);
    expect(stdout).toContain('app.conf');
    expect(stdout).not.toMatch(/not given|secret\.txt|compose\.yaml|only\.conf$/m);
    expect(stderr).toContain('secret.txt');
    expect(readdirSync(stack.dir)).not.toContain('new');
  });

  test('writes to it, and sees what the host writes to it', async () => {
    await inGuest('files', 'echo from the guest >> /etc/app.conf');
    expect(readFileSync(hostFile('app.conf'), 'utf8')).toBe('from the host\nfrom the guest\n');
    writeFileSync(hostFile('app.conf'), 'written again\n');
    expect((await inGuest('files', 'cat /etc/app.conf')).stdout).toBe('written again\n');
  });

  test('cannot write to one that is only to be read: the file system is read-only, as in docker', async () => {
    for (const service of ['files', 'plain']) {
      const { stderr, code } = await inGuest(service, 'cat /etc/only.conf && echo x >> /etc/only.conf');
      expect([service, code]).not.toEqual([service, 0]);
      expect(stderr).toContain('Read-only file system');
    }
    expect((await inGuest('files', 'echo x >> /large.bin')).stderr).toContain('Read-only file system');
    expect(readFileSync(hostFile('only.conf'), 'utf8')).toBe('only to be read\n');
  });

  test('cannot write to the disk of a volume that it has only to read, whatever node it makes, and reads what was written last', async () => {
    await stack.must(['--profile', 'first', 'up', '-d', 'writer'], { timeout: 400_000 });
    await stack.must(['--profile', 'first', 'exec', '-T', 'writer', 'sh', '-c', 'until [ -e /data/file ]; do sleep 0.2; done; sync']);
    // Killed: its journal is still to be played.
    await stack.must(['--profile', 'first', 'kill', 'writer']);
    await stack.must(['--profile', 'first', 'rm', '-f', 'writer']);
    await stack.must(['--profile', 'second', 'up', '-d', 'reader'], { timeout: 400_000 });
    const second = (script: string) => stack.run(['--profile', 'second', 'exec', '-T', 'reader', 'sh', '-c', script]);
    expect((await second('cat /data/file')).stdout).toBe('kept\n');
    expect((await second('echo x > /data/new')).stderr).toContain('Read-only file system');
    const attack = `for disk in /sys/block/vd*; do
      name=\${disk##*/}; echo "$name $(cat $disk/ro) $(cat $disk/serial)"
      mknod /tmp/$name b $(tr : ' ' < $disk/dev)
      case $(cat $disk/serial) in vol*) dd if=/dev/zero of=/tmp/$name bs=4096 count=1 seek=100 conv=fsync && echo WRITTEN;; esac
    done`;
    const { stdout, stderr } = await second(attack);
    expect(stdout).toMatch(/^vd\w 1 vol\d$/m);
    expect(stdout).not.toContain('WRITTEN');
    expect(stderr).toMatch(/Operation not permitted|Read-only file system|Permission denied/);
  });

  test('changes no setting of its kernel without being privileged, as in docker', async () => {
    const script = `for f in sys/kernel/hostname sys/vm/swappiness sysrq-trigger; do
      if { echo 1 > /proc/$f; } 2>/dev/null; then echo "changed $f"; fi; done; cat /proc/sys/vm/swappiness; wc -c < /proc/keys`;
    expect((await inGuest('plain', script)).stdout).toMatch(/^\d+\n0\n$/);
    expect((await inGuest('files', 'cat /proc/sys/vm/swappiness > /proc/sys/vm/swappiness && echo changed')).stdout).toBe('changed\n');
  });

  test('ends nobody but itself when its root takes the port of the agent and floods the host', async () => {
    // The driver is taken off the port and put on again, so that the agent has lost it, and whoever opens it next speaks to the host.
    const attack = `P=$(readlink -f /sys/class/virtio-ports/vport*); V=$(basename $(dirname $(dirname $P)))
      D=$(tr : ' ' < $P/dev); mknod /port c $D
      i=0; while [ $i -lt 500 ]; do printf '\\203\\1\\7\\0\\0\\0\\4\\0\\0\\0abcd\\0' >> /frames; i=$((i+1)); done
      (sleep 1; echo $V > /sys/bus/virtio/drivers/virtio_console/unbind; echo $V > /sys/bus/virtio/drivers/virtio_console/bind
       while :; do cat /frames > /port; done) > /dev/null 2>&1 &`;
    expect((await inGuest('files', attack)).code).toBe(0);
    const state = async () => (await stack.ps()).find(({ Service }) => Service === 'files')?.State;
    await expect.poll(state, { timeout: 60_000, interval: 500 }).not.toBe('running');
    expect((await inGuest('plain', 'echo well')).stdout).toBe('well\n');
    const supervisors = (await processesOf('fences')).filter((line) => line.includes('hypr supervisor'));
    expect(supervisors).toHaveLength(1);
    const status = readFileSync(`/proc/${supervisors[0]?.split(' ')[0]}/status`, 'utf8');
    expect(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1])).toBeLessThan(300_000);
  });

  test('and nothing of the home is open to others', () => {
    const open = execFileSync('find', [inject('hyprHome'), '-maxdepth', '1', '-not', '-type', 'l', '-perm', '/077', '-mindepth', '1'], {
      encoding: 'utf8',
    });
    expect(open).toBe('');
  });
});
