import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mustHypr } from '../../support/cli.ts';
import { processesOf, TestStack } from '../../support/stack.ts';

const file = (more = ''): string => `
services:
  vpn:
    image: busybox
    command: sh -c 'trap "echo vpn ends; exit 0" TERM; echo vpn begins; while :; do sleep 1; done'
    ports: ['127.0.0.1:0:8080']
    volumes: ['both:/both']
  app:
    image: busybox
    command: sh -c 'trap "echo app ends; exit 3" TERM; mkdir -p /www; echo from app > /www/index.html; httpd -p 8080 -h /www; echo app begins; while :; do sleep 1; done'
    network_mode: service:vpn
    ipc: container:podnet-vpn-1
    volumes: ['both:/both', 'own:/own']
    environment: {WHO: app}
    restart: always
    healthcheck: {test: ['CMD', 'wget', '-q', '-O', '-', 'http://127.0.0.1:8080/'], interval: 1s}
  ask:
    image: busybox
    command: sleep 10000
${more}
volumes: {both: {}, own: {}}
`;

describe('services in one machine (network_mode: service:X)', () => {
  let stack: TestStack;
  const inside = async (service: string, ...command: string[]): Promise<string> => {
    const { code, stdout, stderr } = await stack.run(['exec', '-T', service, ...command]);
    return code === 0 ? stdout.trim() : `${code}: ${stdout}${stderr}`;
  };
  const states = async (): Promise<Record<string, string>> => {
    const lines = (await stack.must(['ps', '-a', '--format', 'json'])).trim().split('\n');
    return Object.fromEntries(lines.map((line) => JSON.parse(line)).map(({ Service, State }) => [Service, State]));
  };
  const vms = async (): Promise<number> => (await processesOf('podnet')).filter((line) => line.includes('qemu-system')).length;

  const killSupervisor = async (): Promise<void> => {
    const supervisor = (await processesOf('podnet')).find((line) => !/qemu-system|gvproxy|virtiofsd/.test(line));
    process.kill(Number(supervisor?.split(' ')[0]), 'SIGKILL');
  };

  beforeAll(async () => {
    stack = await new TestStack('podnet').write({ 'compose.yaml': file() });
    await stack.must(['up', '-d', '--wait'], { timeout: 240_000 });
  });
  afterAll(() => stack?.close());

  test('share network and IPC, and have roots, volumes, programs and logs of their own', async () => {
    expect(await states()).toEqual({ vpn: 'running', app: 'running', ask: 'running' });
    expect(await vms()).toBe(2);
    expect(await inside('vpn', 'wget', '-q', '-O', '-', 'http://127.0.0.1:8080/')).toBe('from app');
    expect(await inside('ask', 'wget', '-q', '-O', '-', 'http://vpn:8080/')).toBe('from app');
    const [, port] = (await stack.must(['port', 'vpn', '8080'])).trim().split(':');
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('from app\n');
    expect(await inside('app', 'cat', '/etc/hostname')).toBe('podnet-vpn-1');
    expect(await inside('app', 'nslookup', 'ask')).toContain('Address');
    expect(await inside('vpn', 'ls', '/www')).toMatch(/No such file/);
    expect(await inside('app', 'sh', '-c', 'echo $WHO; echo mine > /own/x; echo ours > /both/x; echo seen > /dev/shm/x')).toBe('app');
    expect(await inside('vpn', 'cat', '/both/x', '/dev/shm/x')).toBe('ours\nseen');
    expect(await inside('vpn', 'ls', '/own')).toMatch(/No such file/);
    expect(await inside('app', 'ps')).not.toContain('vpn begins');
    expect(await stack.must(['logs', '--no-log-prefix', 'app'])).toBe('app begins\n');
    const [inspected] = JSON.parse(await mustHypr(['inspect', 'podnet-app-1'], { env: stack.env }));
    expect(inspected.State).toMatchObject({ Status: 'running', Health: { Status: 'healthy' } });
  });

  test('one that ends, or is stopped and started, leaves the other alone; its disks are kept', async () => {
    await stack.must(['stop', 'app']);
    expect(await states()).toMatchObject({ vpn: 'running', app: 'exited' });
    expect(await inside('vpn', 'echo', 'here')).toBe('here');
    await stack.must(['start', 'app']);
    expect(await inside('app', 'cat', '/www/index.html', '/own/x')).toBe('from app\nmine');
    await stack.must(['kill', 'app']);
    await stack.must(['restart', 'app']);
    await expect.poll(states, { timeout: 60_000 }).toMatchObject({ vpn: 'running', app: 'running' });
    expect(await stack.must(['logs', '--no-log-prefix', 'vpn'])).toBe('vpn begins\n');
  });

  test('a one-off of a member runs in the same machine, with a root of its own and the volumes of its service', async () => {
    const command = 'wget -q -O - http://localhost:8080/; cat /own/x /dev/shm/x; cat /etc/hostname; ls /www; echo one > /own/one; exit 5';
    const ran = await stack.run(['run', '--rm', '-T', 'app', 'sh', '-c', command]);
    expect([ran.code, ran.stdout]).toEqual([5, 'from app\nmine\nseen\npodnet-vpn-1\n']);
    expect(await inside('app', 'cat', '/own/one')).toBe('one');
    expect(await vms()).toBe(2);
    const held = await stack.run(['run', '-T', '-v', '.:/here', 'app', 'ls', '/here']);
    expect([held.code, held.stderr]).toEqual([1, expect.stringContaining('takes no further folders')]);
    expect(Object.keys(await states())).toHaveLength(3);
  });

  test('a one-off of a member is taken over, its disk comes out of the machine, and it ends with its owner', async () => {
    await stack.must(['run', '-d', '--name', 'aside', '-v', 'later:/later', 'app', 'sh', '-c', 'echo kept > /later/x; sleep 10000']);
    await killSupervisor();
    const state = async () => (await mustHypr(['inspect', '--format', '{{.State.Status}}', 'aside'], { env: stack.env })).trim();
    expect(await state()).toBe('running');
    await stack.must(['restart', 'vpn']);
    expect([await state(), await states()]).toEqual(['exited', expect.objectContaining({ vpn: 'running', app: 'running' })]);
    await mustHypr(['rm', 'aside'], { env: stack.env });
    for (const _ of Array(2)) {
      expect(await stack.must(['run', '--rm', '-T', '-v', 'later:/later', 'app', 'cat', '/later/x'])).toBe('kept\n');
    }
    await mustHypr(['volume', 'rm', 'later'], { env: stack.env });
  });

  test('a restart of the one that owns the machine takes the others with it', async () => {
    const before = await stack.must(['logs', '--no-log-prefix', 'vpn']);
    await stack.must(['restart', 'vpn']);
    expect(await states()).toMatchObject({ vpn: 'running', app: 'running' });
    expect(await stack.must(['logs', '--no-log-prefix', 'vpn'])).toBe(`${before}vpn ends\nvpn begins\n`);
    expect(await inside('app', 'cat', '/own/x')).toBe('mine');
  });

  test('the next supervisor takes both over', async () => {
    await killSupervisor();
    expect(await inside('app', 'cat', '/own/x')).toBe('mine');
    expect(await states()).toMatchObject({ vpn: 'running', app: 'running' });
    expect(await vms()).toBe(2);
  });

  test('one more joins: the machine starts again, with everybody in it', async () => {
    await stack.write({ 'compose.yaml': file('  more: {image: busybox, command: sleep 10000, network_mode: "container:podnet-app-1"}\n') });
    await stack.must(['up', '-d', '--wait'], { timeout: 240_000 });
    expect(await states()).toEqual({ vpn: 'running', app: 'running', more: 'running', ask: 'running' });
    expect(await vms()).toBe(2);
    expect(await inside('more', 'wget', '-q', '-O', '-', 'http://localhost:8080/')).toBe('from app');
    expect(await inside('app', 'cat', '/own/x')).toBe('mine');
    const paused = await stack.run(['pause', 'vpn']);
    expect([paused.code, paused.stderr]).toEqual([1, expect.stringContaining('runs in the machine of podnet-vpn-1')]);
  });

  test('stop of the owner stops all in its machine, and down leaves nothing', async () => {
    await stack.must(['stop', 'vpn']);
    expect(await states()).toEqual({ vpn: 'exited', app: 'exited', more: 'exited', ask: 'running' });
    await stack.must(['down', '-v']);
    expect(await processesOf('podnet')).toEqual([]);
  });
});
