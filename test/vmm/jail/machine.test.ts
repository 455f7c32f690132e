import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { compileC } from '../../../base/host/compile.ts';
import type { MachineSpec } from '../../../vmm/model/machine.ts';
import { fenceCommand } from '../../../vmm/qemu/fence.ts';
import { compileMachineJail } from '../../../vmm/toolchain/sources.ts';
import { spec, tool, toolchain } from '../support.ts';

/* A program in the place of QEMU, in the same fence, does what a guest would do that has taken QEMU over. */

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

let tools = '';
let fence = '';
let attacker = '';
let deny = '';
let dir = '';
let servers: Server[] = [];
beforeAll(async () => {
  tools = mkdtempSync(join(tmpdir(), 'hypr-attack-bin-'));
  chmodSync(tools, 0o755);
  fence = await compileMachineJail(tools);
  attacker = await compileC({ source: 'test/vmm/jail/attacker.c', outDir: tools });
  deny = await compileC({ source: 'test/support/kernels/deny.c', outDir: tools });
  for (const file of [fence, attacker, deny]) {
    chmodSync(file, 0o755);
  }
  return () => rmSync(tools, { recursive: true, force: true });
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-attack-'));
  for (const name of ['home', 'home/.ssh', 'mine', 'run', 'run/m', 'theirs']) {
    mkdirSync(join(dir, name));
  }
  for (const name of ['home/.ssh/id', 'mine/upper', 'theirs/upper', 'console']) {
    writeFileSync(join(dir, name), 'content');
  }
});
afterEach(() => {
  for (const server of servers) {
    server.close();
  }
  servers = [];
  rmSync(dir, { recursive: true, force: true });
});

const listen = async (where: string | undefined): Promise<number> => {
  const server = createServer((peer) => peer.end());
  servers.push(server);
  where === undefined ? server.listen(0, '127.0.0.1') : server.listen(where);
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
};

const machine = (): MachineSpec =>
  spec({
    runDir: join(dir, 'run', 'm'),
    consoleLog: join(dir, 'console'),
    folder: join(dir, 'mine'),
    disks: [{ serial: 'upper', path: join(dir, 'mine', 'upper'), format: 'raw', readOnly: false }],
  });

type Who = 'root' | 'a plain user';
/** `lacking`: what test/support/kernels/deny.c takes away from the kernel. */
interface Attacked {
  readonly who: Who;
  readonly fenced: boolean;
  readonly lacking?: string;
}

/** What each attack came to. The victims are processes and files of the very same user, so that nothing but the fence stops it. */
const attack = async ({ who, fenced, lacking }: Attacked): Promise<Record<string, string>> => {
  const [abstract, theirs] = [`hypr-attack-${process.pid}-${Math.random()}`, join(dir, 'theirs', 'qmp.sock')];
  await Promise.all([listen(theirs), listen(`\0${abstract}`)]);
  const port = await listen(undefined);
  if (isRoot && who === 'a plain user') {
    execFileSync('chown', ['-R', `${NOBODY}:${NOBODY}`, dir]);
  }
  const as = (args: readonly string[]) =>
    isRoot && who === 'a plain user' ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', ...args] : [...args];
  // It says when it is the user's.
  const [sleeper = '', ...rest] = as(['/bin/sh', '-c', 'echo up; exec sleep 60']);
  const victim = spawn(sleeper, rest, { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(victim.stdout, 'data');
  try {
    const args = [
      ...[join(dir, 'home', '.ssh', 'id'), join(dir, 'theirs', 'upper'), theirs, abstract, String(port), String(victim.pid)],
      ...[join(dir, 'mine', 'upper'), join(dir, 'mine')],
    ];
    const plain = { file: attacker, args, env: {} };
    // A program of our own prefix, like the toolchain's QEMU.
    const own = toolchain({ machineJail: fence, qemu: tool(attacker, [attacker]), kernel: attacker, initramfs: attacker });
    const settings = { toolchain: own, accelerator: 'kvm', tscKhz: 1 } as const;
    const command = fenced ? await fenceCommand(plain, { settings, spec: machine(), beginning: { kind: 'cold' }, inherits: 0 }) : plain;
    const [file = '', ...full] = as([...(lacking === undefined ? [] : [deny, lacking]), command.file, ...command.args]);
    const { stdout, stderr } = spawnSync(file, full, { cwd: '/', encoding: 'utf8', timeout: 20_000, env: { HOME: join(dir, 'home') } });
    expect(stderr).toBe('');
    return Object.fromEntries(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(' ') as [string, string]),
    );
  } finally {
    victim.kill('SIGKILL');
  }
};

/** Whoever is not fenced in can do these, as either user: what stops them below is the fence. */
const ORDINARY = [
  ...['read-secret', 'write-secret', 'read-passwd', 'list-home', 'read-disk-of-others', 'write-disk-of-others', 'make-file'],
  ...['make-folder', 'change-mode', 'socket-of-others', 'abstract-socket', 'tcp', 'udp', 'netlink'],
  ...['secret-by-own-root', 'secret-by-root-of-others'],
  ...['signal', 'signal-thread', 'command-of-others', 'limits-of-others', 'fork'],
];

const USERS: readonly Who[] = isRoot ? ['root', 'a plain user'] : ['a plain user'];

describe.each(USERS)('[attack] QEMU taken over by its guest, run by %s', (who) => {
  it('gets at nothing of its user but its own disks: no file, socket, network, process or program', async () => {
    const { 'own-disk': own, ...others } = await attack({ who, fenced: true });
    expect(own).toBe('done');
    expect(Object.keys(others).length).toBeGreaterThan(40);
    expect(Object.entries(others).filter(([, verdict]) => verdict !== 'refused')).toEqual([]);
  });

  it('gets at nothing of it where the kernel has no Landlock, but makes files in its own folder', async () => {
    const { 'own-disk': own, 'make-file': made, ...others } = await attack({ who, fenced: true, lacking: 'l' });
    expect([own, made]).toEqual(['done', 'done']);
    expect(Object.keys(others).length).toBeGreaterThan(40);
    expect(Object.entries(others).filter(([, verdict]) => verdict !== 'refused')).toEqual([]);
  });

  it('would get at it without the fence', async () => {
    const verdicts = await attack({ who, fenced: false });
    expect(ORDINARY.filter((name) => verdicts[name] !== 'done')).toEqual([]);
  });
});

describe('the fence of a machine', () => {
  const inFence = (limits: readonly string[], ...command: string[]) =>
    spawnSync(fence, [...limits, '--', ...command], { encoding: 'utf8', timeout: 20_000 });
  const host = ['--keep', '3', ...['/usr', '/bin', '/lib', '/lib64'].flatMap((path) => ['--run', path])];

  it('leaves no privilege, no core, few descriptors and files no larger than allowed', () => {
    const path = join(dir, 'mine', 'upper');
    const script = `while read -r l; do echo "$l"; done < /proc/self/status; ulimit -c; ulimit -n; echo ${'x'.repeat(3000)} >> ${path}; echo end`;
    const { stdout } = inFence([...host, '--files', '99', '--size', '2000', '--write', path], '/bin/sh', '-c', script);
    expect(stdout).toMatch(/^NoNewPrivs:\s1$/m);
    expect(stdout).toMatch(/^CapEff:\s0+$/m);
    expect(stdout).toMatch(/^Seccomp:\s2$/m);
    expect(stdout).toMatch(/^0\n99$/m);
    expect(statSync(path).size).toBeLessThanOrEqual(2000);
    truncateSync(path);
  });

  it('hands sockets over that are bound and connected already', async () => {
    const path = join(dir, 'run', 'l');
    const other = join(dir, 'run', 'o');
    const heard = new Promise<string>((resolve) => {
      const server = createServer((peer) => peer.on('data', (data) => resolve(String(data))));
      servers.push(server);
      server.listen(other);
    });
    await once(servers[0] as Server, 'listening');
    const child = spawn(fence, [
      ...host,
      '--listen',
      '7',
      path,
      '--connect',
      '8',
      other,
      '--',
      '/bin/sh',
      '-c',
      'echo hello >&8; sleep 0.1 || :',
    ]);
    expect(await heard).toBe('hello\n');
    expect(statSync(path).isSocket()).toBe(true);
    child.kill('SIGKILL');
  });

  it('says what it lacks, and starts nothing then', () => {
    expect(inFence(['--keep', '3'], '/bin/echo', 'started')).toMatchObject({ status: 71, stdout: '' });
    expect(inFence([...host, '--connect', '7', join(dir, 'nobody')], '/bin/echo', 'started')).toMatchObject({
      status: 71,
      stdout: '',
      stderr: expect.stringContaining('fence: '),
    });
    expect(inFence(['--keep', '2'], '/bin/echo', 'started').status).toBe(64);
  });

  it('tells what holds on this host', () => {
    const { stdout } = spawnSync(fence, ['--probe'], { encoding: 'utf8' });
    expect(JSON.parse(stdout)).toEqual({
      ...{ landlock: expect.any(Number), way: expect.stringMatching(/^(landlock|view)$/) },
      ...{ files: true, calls: true, privileges: true },
    });
  });
});

describe('on a kernel without Landlock a machine', () => {
  const lacking = (what: string, ...args: string[]) => spawnSync(deny, [what, fence, ...args], { encoding: 'utf8', timeout: 20_000 });
  const host = ['/usr', '/bin', '/lib', '/lib64'].flatMap((path) => ['--run', path]);
  const sh = (script: string, ...rights: string[]) => lacking('l', '--keep', '3', ...host, ...rights, '--', '/bin/sh', '-c', script);

  it('sees what was named and nothing else, and may write only what it was given to write', () => {
    const [mine, theirs, console] = ['mine', 'theirs', 'console'].map((name) => join(dir, name)) as [string, string, string];
    const script = `echo /* /proc/*; echo ${mine}/*; echo ${dir}/*
      for f in ${mine}/upper ${console} /usr/x /x /dev/null; do { echo x >> $f; } 2> /dev/null && echo wrote $f; done`;
    const { stdout, stderr } = sh(script, '--read', mine, '--write', console, '--read', theirs);
    const [root, own, all, ...written] = stdout.trim().split('\n');
    expect(root, stderr).toBe('/bin /dev /etc /lib /lib64 /proc /sys /tmp /usr /proc/cpuinfo /proc/meminfo /proc/self /proc/sys');
    expect(own).toBe(`${mine}/upper`);
    expect(all).toBe(`${console} ${mine} ${theirs}`);
    expect(written).toEqual([`wrote ${console}`, 'wrote /dev/null']);
  });

  it('may not write to what is mounted below a folder that it may only read', () => {
    const theirs = join(dir, 'theirs');
    mkdirSync(join(theirs, 'a b'));
    // Mounts of a namespace that is not its own cannot be left out: the folder comes with them.
    const script = `mount -t tmpfs below '${theirs}/a b' && echo kept > '${theirs}/a b/file' &&
      exec unshare -U --map-user=1000 --map-group=1000 "$@"`;
    const inside = `read -r line < '${theirs}/a b/file'; echo $line; { echo x > '${theirs}/a b/file'; } 2> /dev/null && echo wrote`;
    const jailed = [deny, 'l', fence, '--keep', '3', ...host, '--read', theirs, '--', '/bin/sh', '-c', inside];
    const { stdout, stderr } = spawnSync('unshare', ['-rm', 'sh', '-c', script, 'sh', ...jailed], { encoding: 'utf8', timeout: 20_000 });
    expect(stdout, stderr).toBe('kept\n');
  });

  it('finds a file by a path that leads over a link of a folder it sees, and nothing is made outside', () => {
    const [mine, theirs] = [join(dir, 'mine'), join(dir, 'theirs')];
    symlinkSync(theirs, join(mine, 'link'));
    const { stdout, stderr } = sh(
      `read -r line < ${mine}/link/upper; echo $line; echo ${theirs}/*`,
      '--read',
      mine,
      '--read',
      join(mine, 'link', 'upper'),
    );
    expect(stdout, stderr).toBe(`content\n${theirs}/upper\n`);
    expect(readdirSync(theirs)).toEqual(['upper']);
  });

  it('is not started where it may have no mounts of its own either, unless that is wanted', () => {
    const args = ['--keep', '3', '--', '/bin/echo', 'started'];
    expect(lacking('lu', ...args)).toMatchObject({
      status: 71,
      stdout: '',
      stderr: expect.stringMatching(/no Landlock.*not allowed here/),
    });
    expect(lacking('lu', '--without-files', ...args)).toMatchObject({ status: 0, stdout: 'started\n' });
    expect(lacking('l', ...args.slice(0, 2), '--copies', ...args.slice(2))).toMatchObject({ status: 71, stdout: '' });
  });

  it('tells so', () => {
    const told = (...args: [string, ...string[]]) => JSON.parse(lacking(args[0], '--probe', ...args.slice(1)).stdout);
    expect(told('l')).toEqual({ landlock: 0, way: 'view', files: true, calls: true, privileges: true });
    expect(told('lu', '--without-files')).toEqual({ landlock: 0, way: 'none', files: false, calls: true, privileges: true });
  });
});
