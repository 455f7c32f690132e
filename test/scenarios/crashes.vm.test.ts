import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { shortHash } from '../../base/paths.ts';
import { hyprBin } from '../support/cli.ts';
import { freePort } from '../support/free-port.ts';
import { filesOf, processesOf, TestStack } from '../support/stack.ts';

const PORT = await freePort();
const EDGE = await freePort();
const COMPOSE = `
services:
  web:
    image: busybox
    command: sh -c 'mkdir -p /www; hostname > /www/index.html; echo started; exec httpd -f -p 80 -h /www'
    ports: ["${PORT}:80"]
    restart: always
    post_start: [{ command: [sh, -c, 'echo hooked in $$PWD; touch /hooked; sync'], working_dir: /www }]
    pre_stop: [{ command: [sh, -c, 'test -e /hooked && echo leaving'] }]
    healthcheck: { test: ["CMD", "wget", "-qO-", "http://127.0.0.1/"], interval: 2s, start_period: 60s }
  idle:
    image: busybox
    command: sleep 100000
    restart: "no"
`;

const killAll = async (stack: string, pattern: RegExp): Promise<number> => {
  const victims = (await processesOf(stack)).filter((line) => pattern.test(line)).map((line) => Number(line.split(' ')[0]));
  for (const pid of victims) {
    process.kill(pid, 'SIGKILL');
  }
  return victims.length;
};

const page = async (): Promise<string> => (await (await fetch(`http://127.0.0.1:${PORT}/`)).text()).trim();

/** Paths of the sockets that somebody on this host listens on (proc(5), net/unix). */
const unixSockets = async (): Promise<string[]> =>
  (await readFile('/proc/net/unix', 'utf8')).split('\n').flatMap((line) => line.trim().split(/\s+/).slice(7));

/** Status and text of the page under the service's name. */
const byName = (): Promise<string> =>
  new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port: EDGE, agent: false, headers: { host: 'web.crashes.localhost' } }, (answer) => {
      let text = `${answer.statusCode} `;
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      answer.on('end', () => resolve(text)).on('error', reject);
    });
    request.on('error', reject);
  });

describe('whatever is killed, the next command puts it right', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await new TestStack('crashes', { HYPR_EDGE_PORT: String(EDGE), HYPR_DNS_PORT: '0' }).write({ 'compose.yaml': COMPOSE });
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
  });
  afterAll(() => stack.close());

  test('the supervisor: machines run on and are taken over, with their ports and logs', async () => {
    const before = await stack.must(['ps', '-q']);
    expect(await killAll('crashes', /supervisor/)).toBe(1);
    const result = await stack.run(['ps']);
    expect(result.stderr).toMatch(/web-1 is taken over/);
    expect(await stack.must(['ps', '-q'])).toBe(before);
    expect(await page()).toMatch(/web/);
    expect(await stack.must(['exec', '-T', 'web', 'echo', 'still', 'here'])).toBe('still here\n');
    const logs = await stack.must(['logs', '--no-color', 'web']);
    expect(logs).toMatch(/started/);
    expect(logs.match(/hooked in \/www/g)).toHaveLength(1);
  });

  test('who serves names: another process does within a second, and the stack is there again after the next command', async () => {
    await expect.poll(byName, { timeout: 20_000 }).toMatch(/^200 .*web/);
    expect(await stack.must(['url', 'web'])).toBe(`http://web.crashes.localhost:${EDGE}/\n`);
    const other = spawn(hyprBin, ['proxy', 'serve'], {
      cwd: stack.dir,
      env: { ...process.env, ...stack.env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void other.kill('SIGKILL'));
    const holds = once(other.stdout, 'data');
    expect(await killAll('crashes', /supervisor/)).toBe(1);
    await holds;
    expect(await byName()).toMatch(/^404 .*NAME_UNKNOWN/);
    await stack.must(['ps']);
    await expect.poll(byName, { timeout: 10_000 }).toMatch(/^200 .*web/);
    other.kill('SIGTERM');
    await once(other, 'exit');
    await expect.poll(byName, { timeout: 10_000 }).toMatch(/^200 .*web/);
  });

  test('a VMM: its restart policy decides, and ps says what happened', async () => {
    expect(await killAll('crashes', /qemu.*hypr-crashes-(web|idle)-1/)).toBeGreaterThanOrEqual(2);
    await stack.must(['up', '-d', '--wait', 'web'], { timeout: 180_000 });
    await expect.poll(page, { timeout: 20_000 }).toMatch(/web/);
    const idle = (await stack.ps()).find((replica) => replica.Service === 'idle');
    expect([idle?.State, idle?.ExitCode]).toEqual(['exited', 137]);
  });

  test('a network: it and its machines start again', async () => {
    expect(await killAll('crashes', /gvproxy/)).toBeGreaterThanOrEqual(1);
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
    await expect.poll(page, { timeout: 20_000 }).toMatch(/web/);
  });

  test('supervisor and machines at once: nothing is orphaned', async () => {
    await killAll('crashes', /supervisor/);
    await killAll('crashes', /qemu/);
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
    await expect.poll(page, { timeout: 20_000 }).toMatch(/web/);
  });

  test('the command itself, in the middle of up: down leaves nothing', async () => {
    await stack.must(['down', '-t', '1']);
    const child = spawn(hyprBin, ['compose', '--progress', 'plain', 'up', '-d'], {
      cwd: stack.dir,
      env: { ...process.env, ...stack.env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await new Promise<void>((resolve) => {
      child.stderr.on('data', (chunk: Buffer) => {
        if (/Starting|Created/.test(chunk.toString())) {
          child.kill('SIGKILL');
        }
      });
      child.on('exit', () => resolve());
    });
    await stack.must(['down', '-t', '1']);
    expect(await processesOf('crashes')).toEqual([]);
    expect(await filesOf('crashes')).toEqual([]);
  });

  test('a machine that the host stops: ps says so, exec ends with the reason, health goes; it goes on when it may', async () => {
    await stack.must(['up', '-d', '--wait'], { timeout: 120_000 });
    const [line = ''] = (await processesOf('crashes')).filter((each) => /qemu.*crashes-web-1/.test(each));
    const pid = Number(line.split(' ')[0]);
    // Signals to 0 are for this process.
    expect(pid).toBeGreaterThan(1);
    process.kill(pid, 'SIGSTOP');
    onTestFinished(async () => {
      process.kill(pid, 'SIGCONT');
      await stack.must(['down', '-t', '1']);
    });
    const exec = await stack.run(['exec', '-T', 'web', 'true'], { timeout: 90_000 });
    expect(exec.code).not.toBe(0);
    expect(exec.stderr).toMatch(/crashes-web-1 has not responded for \d+ s/);
    expect(exec.stderr).toContain(`kill -CONT ${pid}`);
    expect(await stack.must(['ps'])).toMatch(/web-1.*\(not responding for [^)]+\) \(unhealthy\)/);
    process.kill(pid, 'SIGCONT');
    await expect.poll(() => stack.must(['ps']), { timeout: 60_000 }).toMatch(/web-1.*\(healthy\)/);
    expect(await stack.must(['exec', '-T', 'web', 'echo', 'here'])).toBe('here\n');
    expect(await page()).toMatch(/web/);
  }, 300_000);

  test('the supervisor, while the host holds a machine: ps says so, and it goes on with what it had not written', async () => {
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
    await stack.must(['exec', '-T', 'idle', 'sh', '-c', 'echo unwritten > /unwritten']);
    const [line = ''] = (await processesOf('crashes')).filter((each) => /qemu.*crashes-idle-1/.test(each));
    const pid = Number(line.split(' ')[0]);
    expect(pid).toBeGreaterThan(1);
    process.kill(pid, 'SIGSTOP');
    onTestFinished(() => void process.kill(pid, 'SIGCONT'));
    expect(await killAll('crashes', /supervisor/)).toBe(1);
    const result = await stack.run(['ps', '-a']);
    expect(result.stderr).toMatch(/idle-1 does not respond/);
    expect(result.stdout).toMatch(/idle-1.*Up.*\(not responding for [^)]+\)/);
    const exec = await stack.run(['exec', '-T', 'idle', 'true']);
    expect([exec.code, exec.stderr]).toEqual([1, expect.stringContaining(`kill -CONT ${pid}`)]);
    process.kill(pid, 'SIGCONT');
    await expect.poll(() => stack.must(['ps', '-a']), { timeout: 60_000 }).toMatch(/idle-1(?!.*not responding).*Up/);
    expect(await stack.must(['exec', '-T', 'idle', 'cat', '/unwritten'])).toBe('unwritten\n');
    expect((await processesOf('crashes')).filter((each) => each.startsWith(`${pid} `))).toHaveLength(1);
  }, 300_000);

  test("a machine whose monitor's socket is gone runs on when its supervisor was killed, and a restart ends it", async () => {
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
    const [line = ''] = (await processesOf('crashes')).filter((each) => /qemu.*crashes-idle-1/.test(each));
    const pid = Number(line.split(' ')[0]);
    expect(pid).toBeGreaterThan(1);
    const id = (await stack.must(['ps', '-q', '--no-trunc', 'idle'])).trim();
    const monitor = (await unixSockets()).find((path) => path.endsWith(`/m-${shortHash(id, 8)}/qmp.sock`));
    await rm(monitor ?? 'no monitor');
    expect(await killAll('crashes', /supervisor/)).toBe(1);
    const result = await stack.run(['ps', '-a']);
    expect(result.stderr).toMatch(/idle-1 runs and cannot be taken over: .*ENOENT.*restart idle/);
    expect(result.stdout).toMatch(/idle-1.*Up/);
    expect((await processesOf('crashes')).filter((each) => each.startsWith(`${pid} `))).toHaveLength(1);
    await stack.must(['restart', '-t', '1', 'idle'], { timeout: 180_000 });
    expect(await stack.must(['exec', '-T', 'idle', 'echo', 'anew'])).toBe('anew\n');
    expect((await processesOf('crashes')).filter((each) => each.startsWith(`${pid} `))).toEqual([]);
  }, 300_000);

  test('the supervisor, in the middle of up: the command says so, and the next continues after what was started', async () => {
    await stack.must(['down', '-t', '1']);
    const child = spawn(hyprBin, ['compose', '--progress', 'plain', 'up', '-d', '--wait'], {
      cwd: stack.dir,
      env: { ...process.env, ...stack.env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let text = '';
    let killed: Promise<number> | undefined;
    const code = await new Promise<number | null>((resolve) => {
      child.stderr.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (/Container .* Created/.test(text)) {
          killed ??= killAll('crashes', /supervisor/).catch(() => 0);
        }
      });
      child.on('exit', resolve);
    });
    expect([await killed, code]).toEqual([1, 1]);
    expect(text).toMatch(/was killed, or told to end, in the middle of this command/);
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
    await expect.poll(page, { timeout: 20_000 }).toMatch(/web/);
    await stack.must(['stop', 'web']);
    expect(await stack.must(['logs', '--no-color', 'web'])).toMatch(/leaving/);
    await stack.must(['down', '-t', '1']);
    expect(await processesOf('crashes')).toEqual([]);
    expect(await filesOf('crashes')).toEqual([]);
  });
});

test('the process that serves a shared folder: who waits for the folder does not for ever, and the restart policy decides', async () => {
  const stack = await new TestStack('crashes-share').write({
    'compose.yaml': `
services:
  app: {image: busybox, command: sleep infinity, restart: always, volumes: [".:/src"]}
  once: {image: busybox, command: sleep infinity, volumes: [".:/src"]}
`,
  });
  onTestFinished(() => stack.close());
  await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
  expect(await killAll('crashes-share', /virtiofsd/)).toBeGreaterThanOrEqual(2);
  // A sync in a guest waits for each of its file systems.
  const waiting = await stack.run(['exec', '-T', 'once', 'sync'], { timeout: 120_000 });
  expect(waiting.code).not.toBe(0);
  const once = async () => (await stack.ps()).find((replica) => replica.Service === 'once')?.State;
  // The supervisor is told of the end of its child: it does not have to look whether it lives, as it does each 15 seconds.
  await expect.poll(once, { timeout: 8_000 }).toBe('exited');
  const listed = async () => (await stack.run(['exec', '-T', 'app', 'ls', '/src'])).stdout;
  await expect.poll(listed, { timeout: 120_000 }).toBe('compose.yaml\n');
  expect((await stack.run(['why', 'once'])).stdout).toContain('virtiofsd');
});
