import { spawn } from 'node:child_process';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { hyprBin } from '../support/cli.ts';
import { freePort } from '../support/free-port.ts';
import { processesOf, TestStack } from '../support/stack.ts';

const PORT = await freePort();
/** `talk` holds one connection to `db` for as long as it lives, and numbers what it says on it. */
const COMPOSE = `
services:
  db:
    image: redis
    healthcheck: { test: ["CMD", "redis-cli", "ping"], interval: 2s, start_period: 60s }
  web:
    image: nginx
    ports: ["${PORT}:80"]
    volumes: ["./site:/usr/share/nginx/html"]
    healthcheck: { test: ["CMD", "test", "-s", "/run/nginx.pid"], interval: 2s, start_period: 60s }
  talk:
    image: busybox
    command:
      - sh
      - -c
      - |
        n=0
        while true; do n=$$((n+1)); echo "ECHO $$n"; sleep 0.2; done | nc db 6379 |
          while read line; do case $$line in [0-9]*) echo $$line | tr -d '\\r' ;; esac; done
        echo connection lost
    depends_on: { db: { condition: service_healthy } }
`;

const page = async (): Promise<string> => (await (await fetch(`http://127.0.0.1:${PORT}/`)).text()).trim();

describe('a stack that goes to disk and comes back', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await new TestStack('warm').write({ 'compose.yaml': COMPOSE, 'site/index.html': 'first\n' });
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
  });
  afterAll(() => stack.close());

  /** Numbers that came back over the connection, once there is one above `after`. */
  const heard = async (after: number): Promise<number[]> => {
    const following = spawn(hyprBin, ['compose', 'logs', '-f', '--no-color', '--no-log-prefix', 'talk'], {
      cwd: stack.dir,
      env: { ...process.env, ...stack.env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void following.kill('SIGKILL'));
    const numbers: number[] = [];
    for await (const chunk of following.stdout.setEncoding('utf8')) {
      expect(chunk).not.toContain('connection lost');
      numbers.push(
        ...String(chunk)
          .split('\n')
          .filter((line) => /^\d+$/.test(line))
          .map(Number),
      );
      if (Math.max(...numbers) > after) {
        break;
      }
    }
    return numbers;
  };

  test('nothing runs while it is there; then connections, clocks, ports and folders are as they were', async () => {
    const before = Math.max(...(await heard(3)));
    await stack.must(['suspend']);
    await expect.poll(() => processesOf('warm'), { timeout: 20_000 }).toEqual([]);
    expect((await stack.ps()).map(({ State }) => State)).toEqual(['suspended', 'suspended', 'suspended']);
    expect(await stack.must(['ls'])).toMatch(/warm\s+suspended\(3\)/);
    await expect(page()).rejects.toThrow();

    await stack.write({ 'site/second.html': 'second\n' });
    await stack.must(['resume']);
    const after = await heard(before + 20);
    // One connection, every number once, in order: nothing was lost and nothing began anew.
    expect(after).toEqual(Array.from({ length: after.length }, (_, index) => index + 1));
    expect(await page()).toBe('first');
    expect(await (await fetch(`http://127.0.0.1:${PORT}/second.html`)).text()).toBe('second\n');
    const guestTime = Number(await stack.must(['exec', '-T', 'web', 'date', '+%s']));
    expect(Math.abs(guestTime - Date.now() / 1000)).toBeLessThan(30);
  });

  test('goes on from its saved memory when up is called', async () => {
    const before = Math.max(...(await heard(1)));
    await stack.must(['suspend']);
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
    const after = await heard(before + 1);
    expect(after).toEqual(Array.from({ length: after.length }, (_, index) => index + 1));
  });

  test('one whose memory is lost starts afresh, and is said to; down leaves nothing', async () => {
    await stack.must(['suspend']);
    await rm(join(inject('hyprHome'), 'machines', 'warm', 'warm-web-1', 'saved'));
    const { stderr, code } = await stack.run(['resume'], { timeout: 180_000 });
    expect(stderr).toMatch(/warm-web-1 could not go on where it was and starts afresh: the saved memory of warm-web-1 is gone/);
    expect(code).toBe(0);
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
    // It has no health check: its server may only be about to listen.
    await expect.poll(page, { timeout: 20_000 }).toBe('first');
    await stack.must(['suspend']);
    await stack.must(['down', '-t', '2']);
    await expect.poll(() => processesOf('warm'), { timeout: 20_000 }).toEqual([]);
    expect(await stack.ps()).toEqual([]);
  });
});

describe('many machines of one image', () => {
  const SIX = `services:\n${Array.from({ length: 6 }, (_, at) => `  s${at}: { image: busybox, command: [sleep, 1d], stop_grace_period: 0s }\n`).join('')}`;

  test('are copies of one process once their image has a template, where processors are emulated', { timeout: 180_000 }, async () => {
    const stack = await new TestStack('copies').write({ 'compose.yaml': SIX });
    onTestFinished(() => stack.close());
    const log = () => readFile(join(inject('hyprHome'), 'logs', 'copies', 'supervisor.log'), 'utf8');
    await stack.must(['up', '-d']);
    if (!(await log()).includes('a zygote is ready')) {
      // The template is made when nothing has been started for a while.
      await expect.poll(log, { timeout: 90_000 }).toContain('made a template');
      await stack.must(['down', '-t', '0']);
      await stack.must(['up', '-d']);
    }
    const text = await log();
    expect(text).not.toContain('could not be copied');
    expect(text.includes('a zygote is ready')).toBe(!(await isAccelerated()));
  });
});

/** What the probe of this host found: with KVM nothing is copied. */
const isAccelerated = async (): Promise<boolean> => {
  const folder = join(inject('hyprHome'), 'cache');
  const [name = ''] = (await readdir(folder)).filter((each) => each.startsWith('accelerator-'));
  return (await readFile(join(folder, name), 'utf8')).includes('"kvm"');
};
