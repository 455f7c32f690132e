import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hypr, hyprBin, mustHypr } from '../support/cli.ts';
import { processesOf, TestStack } from '../support/stack.ts';

const SITE = `
services:
  web:
    image: busybox
    command: sh -c 'mkdir -p /www && echo from-site > /www/index.html && httpd -f -p 80 -h /www'
    networks:
      front:
        aliases: [pages]
        ipv4_address: 10.76.0.20
        ipv6_address: fd76::20
        mac_address: 02:00:00:00:76:20
        interface_name: front0
      default:
networks:
  front: {external: true}
`;

const ASK = `
services:
  ask:
    image: busybox
    command: sleep 10000
    networks: [outer]
  plain:
    image: busybox
    command: sleep 10000
    network_mode: bridge
networks:
  outer: {external: true, name: front}
`;

describe('networks of several stacks', () => {
  let site: TestStack;
  let ask: TestStack;
  const run = (...args: string[]): Promise<string> => mustHypr(args, { env: site.env });

  beforeAll(async () => {
    site = await new TestStack('nsite').write({ 'compose.yaml': SITE });
    ask = await new TestStack('nask').write({ 'compose.yaml': ASK });
    const { code, stderr } = await site.run(['up', '-d']);
    expect(code).toBe(1);
    expect(stderr).toContain('network front declared as external, but could not be found');
    expect(stderr).toMatch(/compose\.yaml:15/);
    await run('network', 'create', '--subnet', '10.76.0.0/24', '--ipv6', '--subnet', 'fd76::/64', 'front');
    await Promise.all([site.must(['up', '-d'], { timeout: 240_000 }), ask.must(['up', '-d'], { timeout: 240_000 })]);
  });
  afterAll(async () => {
    await ask?.close();
    await site?.close();
    await hypr(['-p', 'nalone', 'down'], { env: site.env });
    await hypr(['network', 'rm', '-f', 'front', 'spare'], { env: site.env });
  });

  const inside = async (stack: TestStack, service: string, ...command: string[]): Promise<string> => {
    const { code, stdout, stderr } = await stack.run(['exec', '-T', service, ...command]);
    return code === 0 ? stdout.trim() : `${code}: ${stdout}${stderr}`;
  };
  const fetch = (host: string): Promise<string> => inside(ask, 'ask', 'wget', '-q', '-T', '5', '-O', '-', `http://${host}/`);

  test.each(['web', 'pages', 'nsite-web-1', 'web.nsite.hypr', 'nsite-web-1.hypr', '10.76.0.20', '[fd76::20]'])(
    'a stack reaches another on an external network as %s',
    async (host) => {
      expect(await fetch(host)).toBe('from-site');
    },
  );

  test('and back, by names in both directions', async () => {
    expect(await inside(site, 'web', 'ping', '-c', '1', '-W', '5', 'ask')).toContain('1 packets received');
  });

  test('fixed addresses, MAC and interface name are what the file says', async () => {
    const link = await inside(site, 'web', 'ip', 'addr', 'show', 'front0');
    expect(link).toContain('02:00:00:00:76:20');
    expect(link).toContain('inet 10.76.0.20/24');
    expect(link).toContain('inet6 fd76::20/64');
    const [front] = JSON.parse(await run('network', 'inspect', 'front'));
    expect(Object.values(front.Containers)).toContainEqual(
      expect.objectContaining({
        Name: 'nsite-web-1',
        IPv4Address: '10.76.0.20/24',
        IPv6Address: 'fd76::20/64',
        MacAddress: '02:00:00:00:76:20',
      }),
    );
  });

  test('IPv6 goes to the gateway, and names have both kinds of address', async () => {
    expect(await inside(ask, 'ask', 'ping', '-6', '-c', '1', '-W', '5', 'fd76::1')).toContain('1 packets received');
    expect(await inside(ask, 'ask', 'nslookup', 'web')).toMatch(/fd76::20/);
    expect(await inside(ask, 'ask', 'ip', '-6', 'route')).toMatch(/default via fd76::1/);
  });

  test('the default network joins a standalone machine and network_mode: bridge, and nobody else', async () => {
    await run('run', '-d', '--name', 'nalone', 'busybox', 'sleep', '10000');
    for (const name of ['nalone', 'nalone.hypr']) {
      expect(await inside(ask, 'plain', 'ping', '-c', '1', '-W', '5', name)).toContain('1 packets received');
    }
    const [bridge] = JSON.parse(await run('network', 'inspect', 'bridge'));
    expect(bridge).toMatchObject({ Id: '000000000000', IPAM: { Config: [{ Subnet: '192.168.127.0/24', Gateway: '192.168.127.1' }] } });
    const members = Object.values(bridge.Containers as Record<string, { Name: string }>).map(({ Name }) => Name);
    expect(members).toEqual(expect.arrayContaining(['nalone', 'nask-plain-1']));
    expect(await fetch('nalone')).toMatch(/bad address|^[1-9]/);
  });

  test('connect puts a stopped machine on another network, disconnect takes it from one', async () => {
    await run('-p', 'nalone', 'stop', '-t', '1');
    await run('network', 'connect', '--alias', 'late', 'front', 'nalone');
    await run('network', 'disconnect', 'bridge', 'nalone');
    await run('-p', 'nalone', 'start');
    expect(await inside(ask, 'ask', 'ping', '-c', '1', '-W', '5', 'late')).toContain('1 packets received');
    expect(await inside(ask, 'plain', 'ping', '-c', '1', '-W', '5', 'nalone')).toMatch(/bad address/);
  });

  test('a capture is a pcap file of what was carried', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hypr-capture-'));
    const file = join(folder, 'x.pcap');
    const capture: ChildProcess = spawn(hyprBin, ['network', 'capture', 'front', '-w', file], { env: { ...process.env, ...site.env } });
    try {
      while (!existsSync(file) || readFileSync(file).length < 24) {
        expect(capture.exitCode).toBeNull();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      expect(await fetch('web')).toBe('from-site');
      capture.kill('SIGINT');
      await once(capture, 'exit');
      const bytes = readFileSync(file);
      expect(bytes.readUInt32LE(0)).toBe(0xa1b2c3d4);
      expect(bytes.includes('from-site')).toBe(true);
    } finally {
      capture.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('after a kill of one supervisor its names last, and the next one takes the network over', async () => {
    const supervisors = await processesOf('nsite');
    const supervisor = supervisors.find((line) => !/qemu-system|gvproxy|virtiofsd/.test(line));
    process.kill(Number(supervisor?.split(' ')[0]), 'SIGKILL');
    expect(await fetch('web')).toBe('from-site');
    expect(await site.must(['ps'])).toContain('nsite-web-1');
    await site.must(['up', '-d']);
    expect(await fetch('pages')).toBe('from-site');
    expect(await inside(site, 'web', 'ping', '-c', '1', '-W', '5', 'ask')).toContain('1 packets received');
  });

  test('what is in use stays, what is not is pruned, and a gateway ends with its last user', async () => {
    await run('network', 'create', 'spare');
    expect(await run('network', 'prune', '-f')).toBe('Deleted Networks:\nspare\n\n');
    expect((await hypr(['network', 'rm', 'front'], { env: site.env })).stderr).toContain('has active endpoints');
    await site.must(['down', '-t', '1']);
    expect(await fetch('web')).toMatch(/bad address|^[1-9]/);
    await ask.must(['down', '-t', '1']);
    await run('-p', 'nalone', 'down', '-t', '1');
    expect(await run('network', 'rm', 'front')).toBe('front\n');
    expect((await processesOf('gvproxy run front')).length).toBe(0);
  });
});
