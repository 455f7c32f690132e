import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectGuest } from '../../guest/client/client.ts';
import type { GuestClient, MachineConfig, ProcessSpec } from '../../guest/types.ts';
import { chunks, collect, machineConfig, processSpec, readAll } from './host-agent.ts';
import { openWorkshop, type TestMachine, type Workshop } from './test-machine.ts';

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop?.close());

const box = (guest: GuestClient, args: readonly string[], more: Partial<ProcessSpec> = {}) =>
  guest.spawn(processSpec(['box', ...args], { env: ['PATH=/bin'], ...more }));

/** What a program of the toolbox prints. */
const ask = async (guest: GuestClient, args: readonly string[], more: Partial<ProcessSpec> = {}): Promise<string> => {
  const program = await box(guest, args, more);
  const { stdout, stderr } = await readAll(program);
  await program.exited;
  return (stdout + stderr).trimEnd();
};

describe('a replica', () => {
  let machine: TestMachine;
  let guest: GuestClient;
  let config: MachineConfig;
  let upper: string;
  let volume: string;

  beforeAll(async () => {
    const share = join(workshop.folder, 'share');
    await mkdir(join(share, 'sub'), { recursive: true });
    await writeFile(join(share, 'conf'), 'a file of the host');
    await writeFile(join(share, 'sub/inner'), 'inner');
    upper = await workshop.makeDisk('upper');
    volume = await workshop.makeDisk('volume');
    machine = await workshop.boot({ name: 'replica', disks: { upper, vol0: volume }, network: true, shares: { share1: share } });
    guest = await machine.connect();
    config = machineConfig({
      clock: Date.now(),
      mounts: [
        { kind: 'disk', disk: 'vol0', target: '/data', readOnly: false, seed: true },
        { kind: 'disk', disk: 'vol0', target: '/again', readOnly: true, seed: false },
        { kind: 'share', tag: 'share1', target: '/share', readOnly: true, seed: false },
        { kind: 'share', tag: 'share1', target: '/etc/app.conf', readOnly: false, file: 'conf', seed: false },
        { kind: 'share', tag: 'share1', target: '/sub', readOnly: false, subpath: 'sub', seed: false },
        { kind: 'tmpfs', target: '/run', readOnly: false, size: 1 << 20, mode: 0o755 },
      ],
      nics: [
        { mac: '02:00:00:00:00:08', name: 'eth0', address: '10.9.0.8', prefix: 24, gateway: '10.9.0.1', mtu: 1400 },
        { mac: '02:00:00:00:00:07', name: 'eth1', address: '10.9.1.7', prefix: 16, mtu: 1500 },
      ],
      resolver: {
        names: { db: ['10.9.0.3', '10.9.0.4'], web: ['10.9.0.8'] },
        search: ['shop.hypr'],
        upstreams: ['10.9.0.1'],
        options: ['ndots:0'],
      },
      hosts: [{ address: '10.9.0.8', names: ['web-1', 'web'] }],
      files: [{ path: '/run/secrets/password', content: Buffer.from('hunter2'), mode: 0o400, uid: 1000, gid: 1001 }],
      sysctls: { 'net.core.somaxconn': '777' },
    });
    await guest.prepare(config);
  });

  it('boots to its agent and says when', async () => {
    expect(guest.info).toMatchObject({ state: 'waiting', kernel: workshop.toolchain.kernelRelease });
    expect(guest.info.bootMs).toBeGreaterThan(100);
    expect(await machine.console()).toMatch(/^kestrel: waiting for its configuration \(\d+ ms\)/m);
    // Otherwise it would look at all connections, again and again.
    expect(await machine.console()).not.toContain('does not tell of listeners');
  });

  it('has the identity it was told', async () => {
    expect(await ask(guest, ['host'])).toBe('web-1');
    expect(await ask(guest, ['cat', '/etc/hostname'])).toBe('web-1');
    expect(await ask(guest, ['cat', '/etc/machine-id'])).toBe(config.machineId);
    expect(await ask(guest, ['cat', '/etc/hosts'])).toContain('10.9.0.8\tweb-1 web');
    expect(await ask(guest, ['cat', '/etc/resolv.conf'])).toBe('nameserver 127.0.0.11\nsearch shop.hypr\noptions ndots:0');
    expect(await ask(guest, ['cat', '/proc/sys/net/core/somaxconn'])).toBe('777');
  });

  it('has a root like a container', async () => {
    expect((await ask(guest, ['ls', '/'])).split('\n')).toEqual(expect.arrayContaining(['bin', 'dev', 'etc', 'proc', 'sys']));
    expect(await ask(guest, ['stat', '/'])).toMatch(/^40755 0 0/);
    expect((await ask(guest, ['ls', '/dev'])).split('\n')).toEqual(
      'core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero'.split(' '),
    );
    expect(await ask(guest, ['put', '/dev/stderr', 'text'], { user: 'app' })).toBe('text');
    expect(await ask(guest, ['put', '/dev/null', 'text'], { user: 'app' })).toBe('');
    expect(await ask(guest, ['ls', '/kestrel'])).toBe('');
  });

  it('has its cards by address, whatever their order', async () => {
    expect((await ask(guest, ['ls', '/sys/class/net'])).split('\n')).toEqual(['eth0', 'eth1', 'lo']);
    expect(await ask(guest, ['cat', '/sys/class/net/eth0/address'])).toBe('02:00:00:00:00:08');
    expect(await ask(guest, ['cat', '/sys/class/net/eth0/mtu'])).toBe('1400');
    expect(await ask(guest, ['cat', '/proc/net/route'])).toMatch(/eth0\s+00000000\s+0100090A/);
    expect(await ask(guest, ['cat', '/proc/net/fib_trie'])).toContain('10.9.1.7');
  });

  it('resolves the names of its stack', async () => {
    const first = await ask(guest, ['resolve', 'db']);
    const second = await ask(guest, ['resolve', 'DB.Shop.Hypr', 'tcp']);
    expect([first, second].sort()).toEqual(['code 0 10.9.0.3 10.9.0.4', 'code 0 10.9.0.4 10.9.0.3']);
    expect(await ask(guest, ['resolve', 'nope.shop.hypr'])).toBe('code 3');
    await guest.setNames({ db: ['10.9.0.99'] });
    expect(await ask(guest, ['resolve', 'db'])).toBe('code 0 10.9.0.99');
    // The upstream does not exist: an answer all the same, in the end.
    expect(await ask(guest, ['resolve', 'example.org'])).toBe('code 2');
  });

  it('has its volume, filled from the image, without lost+found', async () => {
    expect(await ask(guest, ['ls', '/data'])).toBe('seed');
    expect(await ask(guest, ['stat', '/data'])).toMatch(/^40750 0 0/);
    expect(await ask(guest, ['cat', '/again/seed'])).toBe('from the image');
    expect(await ask(guest, ['put', '/again/x', 'x'])).toBe('Read-only file system');
  });

  it('has its shares: folder, part of it, single file', async () => {
    expect(await ask(guest, ['ls', '/share'])).toBe('conf\nsub');
    expect(await ask(guest, ['put', '/share/x', 'x'])).toBe('Read-only file system');
    expect(await ask(guest, ['cat', '/sub/inner'])).toBe('inner');
    await ask(guest, ['put', '/etc/app.conf', 'changed in the guest']);
    expect(await readFile(join(workshop.folder, 'share/conf'), 'utf8')).toBe('changed in the guest');
  });

  it('has its secrets in memory, and only for their user', async () => {
    expect(await ask(guest, ['stat', '/run/secrets/password'])).toBe('100400 1000 1001 7');
    expect(await ask(guest, ['cat', '/run/secrets/password'], { user: 'app' })).toBe('hunter2');
    expect(await ask(guest, ['stat', '/run'])).toMatch(/^40755 0 0/);
    await guest.writeFiles([{ path: '/run/secrets/password', content: Buffer.from('new'), mode: 0o444, uid: 0, gid: 0 }]);
    expect(await ask(guest, ['cat', '/run/secrets/password'])).toBe('new');
  });

  it('adds to files of its own root, once, and never to what is mounted there', async () => {
    await ask(guest, ['put', '/opt-list', 'one']);
    const paths = ['/opt-list', '/sub/inner', '/etc/app.conf', '/run/secrets/password', '/not-there'];
    for (const _ of ['first', 'second']) {
      await guest.writeFiles(
        paths.map((path) => ({ path, content: Buffer.from('two\n'), mode: 0o644, uid: 0, gid: 0, append: true as const })),
      );
    }
    expect(await ask(guest, ['cat', '/opt-list'])).toMatch(/^one\ntwo\n?$/);
    expect(await readFile(join(workshop.folder, 'share/sub/inner'), 'utf8')).toBe('inner');
    expect(await readFile(join(workshop.folder, 'share/conf'), 'utf8')).not.toContain('two');
    expect(await ask(guest, ['cat', '/run/secrets/password'])).toBe('new');
    expect(await ask(guest, ['ls', '/'])).not.toContain('not-there');
  });

  it('runs programs as whom they are to be', async () => {
    expect(await ask(guest, ['id'], { user: 'app', groups: ['extra', '77'] })).toBe('1000 1001 +10 +77 +1001 +2000 pid=1 home=/home/app');
    expect(await ask(guest, ['id'], { user: '4242:4243' })).toBe('4242 4243 +4243 pid=1 home=/');
    const capabilities = async (more: Partial<ProcessSpec>) =>
      /CapEff:\s*(\w+)/.exec(await ask(guest, ['cat', '/proc/self/status'], more))?.[1];
    expect(await capabilities({})).toBe('00000000a80425fb');
    expect(await capabilities({ capDrop: ['ALL'], capAdd: ['NET_ADMIN'] })).toBe('0000000000001000');
    expect(await capabilities({ user: 'app' })).toBe('0000000000000000');
    expect(await capabilities({ privileged: true })).toBe('000001ffffffffff');
    expect((await ask(guest, ['ls', '/dev'], { privileged: true })).split('\n')).toEqual(expect.arrayContaining(['kmsg', 'vda']));
  });

  it('gives terminals', async () => {
    const program = await box(guest, ['tty'], { tty: true, stdin: true, size: { columns: 77, rows: 22 } });
    let text = '';
    for await (const chunk of program.output) {
      text += Buffer.from(chunk.data).toString();
      if (text.endsWith('77x22\r\n')) {
        await program.write(Buffer.from('hello\n'));
      }
    }
    expect(text).toBe('/dev/pts/0 77x22\r\nhello\r\ngot hello\r\n');
  });

  it('takes and gives files as tar streams', async () => {
    const tar = await collect(guest.readTar('/opt'));
    await guest.writeTar('/copy/here', chunks(tar));
    expect(await ask(guest, ['cat', '/copy/here/opt/keep'])).toBe('keep');
    expect((await collect(guest.readTar('/copy/here/opt'))).equals(tar)).toBe(true);
  });

  it('runs its workload as PID 1, with execs beside it, and survives a change of hosts', async () => {
    const workload = await guest.startWorkload(processSpec(['box', 'chatter', '5', '200000'], { env: ['PATH=/bin'] }));
    const events: string[] = [];
    const watching = (async () => {
      for await (const event of guest.events()) {
        if (event.type === 'listening') {
          events.push(`${event.protocol} ${event.address}:${event.port}`);
          break;
        }
      }
    })();
    const output = workload.output[Symbol.asyncIterator]();
    const begin = Buffer.from((await output.next()).value?.data ?? []).toString();
    expect(begin.startsWith('ready\n')).toBe(true);
    expect(await ask(guest, ['cat', '/proc/1/cmdline'])).toBe('box\0chatter\x005\x00200000\0');
    expect(await ask(guest, ['id'])).toMatch(/pid=(?!1 )\d+ /);
    const server = await box(guest, ['listen', '8080']);
    await watching;
    expect(events).toEqual(['tcp 0.0.0.0:8080']);
    await server.signal(15);
    expect(await server.exited).toMatchObject({ code: 143, signal: 15 });
    // Mounts of a running workload can still be added to.
    await guest.writeFiles([{ path: '/etc/late.conf', content: Buffer.from('late'), mode: 0o444, uid: 0, gid: 0 }]);
    expect(await ask(guest, ['cat', '/etc/late.conf'])).toBe('late');
    expect((await guest.stats()).pids).toBeGreaterThan(0);

    await guest.close();
    guest = await machine.connect();
    expect(guest.info.state).toBe('running');
    const again = await guest.attachWorkload();
    let text = '';
    for await (const chunk of again.output) {
      text += Buffer.from(chunk.data).toString();
      if (text.includes('0199999\n')) {
        break;
      }
    }
    // What was not acknowledged comes again; what was kept back comes in full or is said to be lost.
    const numbers =
      text
        .replace(/\n\[hypr: .*\]\n/, '\n')
        .match(/^\d{7}$/gm)
        ?.map(Number) ?? [];
    const lost = Number(/\[hypr: (\d+) bytes/.exec(text)?.[1] ?? 0);
    expect(numbers.at(-1)).toBe(199_999);
    expect(lost === 0 ? numbers.every((value, index) => index === 0 || value === (numbers[index - 1] ?? 0) + 1) : true).toBe(true);
    const rest = readAll(again);
    expect(await guest.powerOff({ stopSignal: 15, graceMs: 20_000 })).toEqual({ code: 5, oomKilled: false });
    expect((await rest).stdout).toBe('bye\n');
    await guest.closed;
    expect(await machine.exited).toBe(0);
  });

  it('answers every one of many hosts that come and go', async () => {
    const many = await workshop.boot({ name: 'hosts', disks: {} });
    const first = await many.connect();
    await first.prepare(machineConfig({ root: { disk: 'root', readOnly: true } }));
    await first.close();
    for (let n = 0; n < 40; n++) {
      const host = await connectGuest(many.socket, { timeout: 4000 });
      if (n % 3 > 0) {
        await host.stats();
      }
      if (n % 3 > 1) {
        expect(await ask(host, ['echo', String(n)])).toBe(String(n));
      }
      await host.close();
    }
    await many.kill();
  });

  it('finds its disks as it left them', async () => {
    const next = await workshop.boot({ name: 'again', disks: { upper, vol0: volume } });
    const again = await next.connect();
    const mounts = config.mounts.filter((mount) => mount.kind === 'disk');
    await again.prepare({ ...config, mounts, nics: [], files: [] });
    expect(await ask(again, ['cat', '/copy/here/opt/keep'])).toBe('keep');
    expect(await ask(again, ['ls', '/data'])).toBe('seed');
    // PID 1 without a handler never sees SIGTERM: no reason to wait for the grace period.
    await again.startWorkload(processSpec(['box', 'pause'], { env: ['PATH=/bin'] }));
    expect(await again.powerOff({ stopSignal: 15, graceMs: 3_600_000 })).toMatchObject({ code: 137, signal: 9 });
    await next.exited;
  });
});

describe('a workload', () => {
  it('that eats all memory is reported as killed for it, on a root in memory', async () => {
    const machine = await workshop.boot({ name: 'oom', disks: {} });
    const guest = await machine.connect();
    await guest.prepare(machineConfig({ root: { disk: 'root', readOnly: true } }));
    expect(await ask(guest, ['put', '/x', 'x'])).toBe('Read-only file system');
    const oom = (async () => {
      for await (const event of guest.events()) {
        if (event.type === 'oom') {
          return event.type;
        }
      }
      return undefined;
    })();
    const workload = await guest.startWorkload(processSpec(['box', 'eat', '2000'], { env: ['PATH=/bin'], init: true }));
    expect(await workload.exited).toMatchObject({ code: 137, oomKilled: true });
    expect(await oom).toBe('oom');
    await guest.powerOff({ stopSignal: 15, graceMs: 0 });
    await machine.exited;
  });
});

describe('a build machine', () => {
  it('gives each step as a layer of its own', async () => {
    const machine = await workshop.boot({ name: 'build', disks: { upper: await workshop.makeDisk('build') } });
    const guest = await machine.connect();
    await guest.prepare(machineConfig({ mounts: [{ kind: 'tmpfs', target: '/scratch/deep', readOnly: false }] }));
    await ask(guest, ['rm', '/opt/keep']);
    await ask(guest, ['put', '/opt/new', 'new']);
    await ask(guest, ['link', '/opt/new', '/opt/twin']);
    const long = `/opt/${'l'.repeat(120)}`;
    await ask(guest, ['put', long, '']);
    const listing = async () => {
      await writeFile(join(workshop.folder, 'layer.tar'), await collect(guest.readLayer()));
      return tarNames(await readFile(join(workshop.folder, 'layer.tar')));
    };
    expect(await listing()).toEqual(['opt/', 'opt/.wh.keep', long.slice(1), 'opt/new', 'opt/twin']);
    await guest.pushLayer();
    expect(await listing()).toEqual([]);
    expect(await ask(guest, ['cat', '/opt/twin'])).toBe('new');
    expect(await ask(guest, ['cat', '/etc/hostname'])).toBe('web-1');
    await ask(guest, ['rm', '/opt/lower/old']);
    await ask(guest, ['rm', '/opt/lower']);
    await ask(guest, ['mkdir', '/opt/lower']);
    expect(await listing()).toEqual(['opt/', 'opt/lower/', 'opt/lower/.wh..wh..opq']);
    // A layer that comes from the host, with a whiteout of its own.
    const layer = await collect(guest.readTar('/opt/new'));
    const whiteout = Buffer.from(layer.subarray(0, 512));
    await guest.pushLayer(chunks(rename(layer.subarray(0, 1024), 'from-host'), rename(whiteout, 'opt/.wh.twin', 0), Buffer.alloc(1024)));
    expect(await ask(guest, ['cat', '/from-host'])).toBe('new');
    expect(await ask(guest, ['ls', '/opt'])).toBe(`${'l'.repeat(120)}\nlower\nnew`);
    // Another stage begins where this one did: first with one layer, then with none, mount points and all.
    await guest.dropLayers(1);
    expect(await ask(guest, ['cat', '/opt/twin'])).toBe('new');
    expect(await listing()).toEqual([]);
    await expect(guest.dropLayers(2)).rejects.toMatchObject({ code: 'GUEST_REFUSED' });
    await guest.dropLayers(0);
    expect(await ask(guest, ['cat', '/opt/keep'])).not.toBe('');
    expect(await ask(guest, ['cat', '/etc/hostname'])).toBe('web-1');
    await ask(guest, ['put', '/scratch/deep/x', '']);
    expect(await listing()).toEqual([]);
    await ask(guest, ['put', '/opt/second', '']);
    expect(await listing()).toEqual(['opt/', 'opt/second']);
    await guest.powerOff({ stopSignal: 15, graceMs: 0 });
    await machine.exited;
  });
});

/** Names of a tar's entries, PAX paths resolved. */
const tarNames = (bytes: Buffer): string[] => {
  const names: string[] = [];
  let pax: string | undefined;
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0; ) {
    const text = (from: number, to: number) => bytes.toString('latin1', at + from, at + to).replace(/\0.*$/s, '');
    const size = Number.parseInt(text(124, 136), 8);
    if (text(156, 157) === 'x') {
      pax = /\d+ path=(.*)\n/.exec(bytes.toString('utf8', at + 512, at + 512 + size))?.[1];
    } else {
      const prefix = text(345, 500);
      names.push(pax ?? (prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`));
      pax = undefined;
    }
    at += 512 + ((size + 511) & ~511);
  }
  return names;
};

/** The same entry under another name. */
const rename = (entry: Buffer, name: string, size?: number): Buffer => {
  const bytes = Buffer.from(entry);
  bytes.fill(0, 0, 100).write(name, 0);
  if (size !== undefined) {
    bytes.write(size.toString(8).padStart(11, '0'), 124);
  }
  bytes.fill(' ', 148, 156);
  const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return bytes;
};
