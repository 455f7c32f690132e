import { type AddressInfo, createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { filesOf, processesOf, TestStack } from '../support/stack.ts';

/** Every case: exit code 1, the place or the name, the way out; and nothing half-made is left. */
describe('bad input', () => {
  let stack: TestStack | undefined;
  afterEach(async () => {
    const name = stack?.name ?? '';
    await stack?.close();
    expect(await processesOf(name)).toEqual([]);
    expect(await filesOf(name)).toEqual([]);
  });
  const given = async (compose: string, files: Record<string, string> = {}): Promise<TestStack> => {
    stack = await new TestStack('badinput').write({ 'compose.yaml': compose, ...files });
    return stack;
  };

  test('an unknown key says where it is and what was meant', async () => {
    const { code, stderr } = await (await given('services:\n  web:\n    imagee: busybox\n')).run(['up', '-d']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/compose\.yaml:3:5/);
    expect(stderr).toMatch(/image/);
  });

  test('a bad port is refused with its line', async () => {
    const { code, stderr } = await (await given('services:\n  web:\n    image: busybox\n    ports: ["99999:80"]\n')).run(['up', '-d']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/compose\.yaml:4/);
  });

  test('an image that does not exist is named', async () => {
    const { code, stderr } = await (await given('services:\n  web:\n    image: busybox:no-such-tag\n')).run(['up', '-d']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/busybox:no-such-tag/);
  });

  test('a taken port names its holder, and nothing is booted', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      const { code, stderr } = await (
        await given(`services:\n  web:\n    image: busybox\n    command: sleep 1000\n    ports: ["${port}:80"]\n`)
      ).run(['up', '-d']);
      expect(code).toBe(1);
      expect(stderr).toContain(String(port));
      expect(stderr).toContain(`pid ${process.pid}`);
    } finally {
      server.close();
    }
  });

  test('a failing health check shows the probe’s words; the dependent never starts', async () => {
    const own = await given(`
services:
  db:
    image: busybox
    command: sleep 1000
    healthcheck: { test: ["CMD-SHELL", "echo not ready yet; exit 3"], interval: 1s, retries: 2, timeout: 5s }
  web:
    image: busybox
    command: sleep 1000
    depends_on: { db: { condition: service_healthy } }
`);
    const { code, stderr } = await own.run(['up', '-d']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/badinput-db-1 is unhealthy/);
    expect(stderr).toMatch(/not ready yet/);
    expect((await own.ps()).find((replica) => replica.Service === 'web')?.State).toBe('created');
  });

  test('a failing one-shot dependency', async () => {
    const own = await given(`
services:
  migrate: { image: busybox, command: "sh -c 'echo no such table; exit 3'" }
  web:
    image: busybox
    command: sleep 1000
    depends_on: { migrate: { condition: service_completed_successfully } }
`);
    const { code, stderr } = await own.run(['up', '-d']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/migrate.*exit 3/s);
    expect(stderr).toMatch(/no such table/);
  });

  test('a failing RUN says where and what', async () => {
    const own = await given('services:\n  app:\n    build: .\n', {
      Dockerfile: 'FROM busybox\nRUN echo compiling\nRUN echo it broke >&2; exit 7\n',
    });
    const { code, stdout, stderr } = await own.run(['up', '-d', '--build'], { timeout: 240_000 });
    expect(code).toBe(1);
    expect(stdout + stderr).toMatch(/Dockerfile:3/);
    expect(stdout + stderr).toMatch(/it broke/);
  });

  test('a command that does not exist in the image', async () => {
    const { code, stderr } = await (await given('services:\n  web:\n    image: busybox\n    command: ["no-such-program"]\n')).run([
      'up',
      '-d',
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/no-such-program/);
  });
});
