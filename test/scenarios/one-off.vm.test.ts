import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hypr, hyprBin } from '../support/cli.ts';
import { filesOf, TestStack } from '../support/stack.ts';

/** Commands beside a stack: one-offs, copies, attach, scale. One small stack for all of them. */
describe('one-offs and copies', () => {
  let stack: TestStack;

  beforeAll(async () => {
    stack = await new TestStack('oneoff').write({
      'live/first': 'one',
      'compose.yaml': `
services:
  db:
    image: busybox
    command: sh -c 'mkdir -p /www && echo from db > /www/index.html && httpd -p 80 -h /www && touch /ready && exec sleep 1d'
    healthcheck: { test: ["CMD", "test", "-e", "/ready"], interval: 1s, start_period: 60s }
    develop:
      watch: [{ path: ./live, target: /www/live, action: sync, initial_sync: true, ignore: ["*.tmp"] }]
  job:
    image: busybox
    command: sh -c 'read line; echo got $$line; exit 9'
    stdin_open: true
    environment: { A: "1", B: "2" }
    ports: ["80"]
    depends_on: { db: { condition: service_healthy } }
  hooked:
    image: busybox
    profiles: [hooks]
    post_start: [{ command: [sh, -c, 'echo hook output; echo made by the hook > /made; exit $$CODE'], environment: { CODE: "\${CODE:-0}" } }]
    pre_stop: [{ command: [sh, -c, 'echo leaving > /kept/said'] }]
    volumes: [./kept:/kept]
`,
    });
  });

  afterAll(() => stack?.close());

  test('run: what it needs comes up first, then input, output, variables and the exit code; --rm leaves nothing', async () => {
    const script = 'wget -qO- http://db/; echo $A$B; cat; echo err >&2; exit 7';
    const run = await stack.run(['run', '--rm', '-T', '-e', 'B=3', 'job', 'sh', '-c', script], { input: 'piped' });
    expect(run.stdout).toBe('from db\n13\npiped');
    expect(run.stderr).toMatch(/err\n$/);
    expect(run.code).toBe(7);
    expect((await stack.ps()).map((replica) => replica.Name)).toEqual(['oneoff-db-1']);
    expect((await filesOf('oneoff')).filter((path) => path.includes('-run-'))).toEqual([]);
  });

  test('a program that is not there is 127, and the one-off stays to be looked at', async () => {
    const run = await stack.run(['run', '--name', 'broken', 'job', 'nonsense']);
    expect(run.code).toBe(127);
    expect(run.stderr).toContain('"nonsense": executable file not found');
    expect((await stack.ps()).find((replica) => replica.Name === 'broken')).toMatchObject({ State: 'exited', ExitCode: 127 });
  });

  test('run: post_start hooks beside the workload, which a failed one fails; pre_stop hooks by down only', async () => {
    mkdirSync(join(stack.dir, 'kept'), { recursive: true });
    const waits = ['sh', '-c', 'until test -s /made; do sleep 0.1; done; sleep 1; cat /made'];
    expect(await stack.run(['run', '--rm', '-T', 'hooked', ...waits])).toMatchObject({ code: 0, stdout: 'made by the hook\n' });
    const failed = await stack.run(['run', '--rm', '-T', 'hooked', ...waits], { env: { CODE: '3' } });
    expect(failed).toMatchObject({ code: 1, stdout: 'made by the hook\n' });
    expect(failed.stderr).toContain('hooked hook exited with status 3');
    const aside = { env: { COMPOSE_PROJECT_NAME: 'oneoff-hooks' } };
    await stack.must(['run', '-d', 'hooked', 'sleep', '1d'], aside);
    await stack.must(['down', '--remove-orphans'], aside);
    expect(readFileSync(join(stack.dir, 'kept', 'said'), 'utf8')).toBe('leaving\n');
  });

  test('attach: input, output and the end of a service', async () => {
    await stack.must(['up', '-d', 'job']);
    expect(await stack.run(['attach', 'job'], { input: 'hello\n' })).toMatchObject({ code: 9, stdout: 'got hello\n' });
    expect(await stack.must(['logs', '--no-log-prefix', 'job'])).toContain('got hello');
  });

  test('cp: folders there and back, a tar on both ends', async () => {
    mkdirSync(join(stack.dir, 'site', 'sub'), { recursive: true });
    writeFileSync(join(stack.dir, 'site', 'sub', 'page'), 'a page\n');
    await stack.must(['cp', 'site', 'db:/tmp']);
    await stack.must(['cp', 'site/.', 'db:/www']);
    expect(await stack.must(['exec', '-T', 'db', 'cat', '/tmp/site/sub/page', '/www/sub/page'])).toBe('a page\na page\n');
    await stack.must(['cp', 'db:/www', 'back']);
    expect(readFileSync(join(stack.dir, 'back', 'sub', 'page'), 'utf8')).toBe('a page\n');
    await stack.must(['cp', 'db:/www/index.html', '.']);
    expect(readFileSync(join(stack.dir, 'index.html'), 'utf8')).toBe('from db\n');
    const missing = await stack.run(['cp', 'site/sub/page', 'db:/nowhere/']);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain('there is no folder /nowhere/ in db');
  });

  test('commit: an image with what the service changed, without what is mounted', async () => {
    expect((await stack.run(['exec', '-T', 'db', 'sh', '-c', 'echo kept > /kept && rm /etc/group'])).code).toBe(0);
    const made = await stack.run(['commit', '-m', 'why', '-c', 'CMD ["cat", "/kept"]', 'db', 'oneoff-committed:1']);
    expect(made.stdout).toMatch(/^sha256:[0-9a-f]{64}\n$/);
    try {
      expect(await hypr(['run', '--rm', 'oneoff-committed:1'], { env: stack.env })).toMatchObject({
        code: 0,
        stdout: 'kept\n',
        stderr: '',
      });
      expect((await hypr(['run', '--rm', 'oneoff-committed:1', 'test', '-e', '/etc/group'], { env: stack.env })).code).toBe(1);
    } finally {
      await hypr(['rmi', 'oneoff-committed:1'], { env: stack.env });
    }
  });

  test('watch: what changes on this host is in the service, what goes is gone, what is ignored stays out', async () => {
    const watching = watchUntil(stack, /Watch enabled/);
    await watching.seen;
    expect(await stack.must(['exec', '-T', 'db', 'cat', '/www/live/first'])).toBe('one');
    writeFileSync(join(stack.dir, 'live', 'x.tmp'), 'left out');
    const synced = watching.next(/Syncing service "db"[\s\S]*Syncing service "db"/);
    const first = watching.next(/Syncing service "db"/);
    writeFileSync(join(stack.dir, 'live', 'second'), 'two');
    await first;
    rmSync(join(stack.dir, 'live', 'first'));
    await synced;
    // A third change begins only when the second was carried out.
    const third = watching.next(/(Syncing service "db"[\s\S]*){3}/);
    writeFileSync(join(stack.dir, 'live', 'third'), 'three');
    await third;
    expect(await stack.must(['exec', '-T', 'db', 'sh', '-c', 'ls /www/live | grep -v third'])).toBe('second\n');
    expect(await watching.interrupt()).toBe(130);
  });

  test('scale beside one-offs', async () => {
    await stack.must(['scale', 'db=2']);
    expect((await stack.ps()).filter((replica) => replica.Service === 'db').map((replica) => replica.State)).toEqual([
      'running',
      'running',
    ]);
    expect((await stack.run(['exec', '-T', '--index', '2', 'db', 'hostname'])).stdout).toBe('oneoff-db-2\n');
  });

  test('down takes one-offs along with --remove-orphans only', async () => {
    await stack.must(['run', '-d', '--no-deps', '--name', 'left', 'job', 'sleep', '1d']);
    expect((await stack.run(['down', '-t', '1'])).stderr).toContain('Resource is still in use');
    expect((await stack.ps()).filter(({ State }) => State === 'running').map(({ Name }) => Name)).toEqual(['left']);
    expect((await stack.run(['exec', '-T', 'job', 'hostname'])).code).toBe(0);
    await stack.must(['down', '-t', '1', '--remove-orphans']);
    expect(await stack.ps()).toEqual([]);
    expect(await filesOf('oneoff')).toEqual([]);
  });

  test('an image alone is a stack of one, and gone with --rm', async () => {
    const run = await hypr(['run', '--rm', '-i', '--name', 'alone', 'busybox', 'sh', '-c', 'cat; hostname'], {
      env: stack.env,
      cwd: stack.dir,
      input: 'in\n',
    });
    expect(run).toMatchObject({ code: 0, stdout: 'in\nalone\n' });
    expect((await hypr(['ls', '-a', '-q'], { env: stack.env })).stdout.split('\n')).not.toContain('alone');
  });
});

/** `watch` in the background, followed by what it says. */
const watchUntil = (stack: TestStack, first: RegExp) => {
  const child = spawn(hyprBin, ['compose', 'watch', '--no-up'], { cwd: stack.dir, env: { ...process.env, ...stack.env } });
  const ended = new Promise<number>((resolve) => {
    child.on('close', (code) => resolve(code ?? -1));
  });
  let text = '';
  const waiting = new Set<() => void>();
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    for (const look of waiting) {
      look();
    }
  });
  const next = (pattern: RegExp): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (pattern.test(text)) {
          waiting.delete(look);
          resolve();
        }
      };
      waiting.add(look);
      look();
    });
  const interrupt = (): Promise<number> => {
    child.kill('SIGINT');
    return ended;
  };
  return { seen: next(first), next, interrupt };
};
