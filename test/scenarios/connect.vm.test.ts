import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hypr, mustHypr } from '../support/cli.ts';
import { processesOf, TestStack } from '../support/stack.ts';

const HTTPD = "sh -c 'mkdir -p /www && echo hello > /www/index.html && httpd -f -p 80 -h /www'";

describe('networks of running machines', () => {
  let stack: TestStack;
  const run = (...args: string[]): Promise<string> => mustHypr(args, { env: stack.env });
  const inside = async (service: string, ...command: string[]): Promise<string> => {
    const { code, stdout, stderr } = await stack.run(['exec', '-T', service, ...command]);
    return code === 0 ? stdout.trim() : `${code}: ${stdout}${stderr}`;
  };
  const fetch = (host: string): Promise<string> => inside('ask', 'wget', '-q', '-T', '5', '-O', '-', `http://${host}/`);
  const port = 18_461;
  const published = async (): Promise<string> => (await globalThis.fetch(`http://127.0.0.1:${port}/`)).text();

  beforeAll(async () => {
    stack = await new TestStack('hotnet').write({
      'compose.yaml': `
services:
  web: {image: busybox, command: ${JSON.stringify(HTTPD)}, ports: ['127.0.0.1:${port}:80']}
  ask: {image: busybox, command: sleep 10000, network_mode: bridge}
`,
    });
    await stack.must(['up', '-d'], { timeout: 240_000 });
    await run('network', 'create', '--subnet', '10.77.0.0/24', '--ipv6', '--subnet', 'fd77::/64', '--ip-range', 'fd77::a0/124', 'hotextra');
  });
  afterAll(async () => {
    await stack?.close();
    await hypr(['network', 'rm', '-f', 'hotextra'], { env: stack.env });
  });

  test('connect plugs a card into each, and they reach each other at once', async () => {
    await run('network', 'connect', '--alias', 'www', 'hotextra', 'hotnet-web-1');
    await run('network', 'connect', 'hotextra', 'hotnet-ask-1');
    await expect.poll(() => fetch('www'), { timeout: 60_000 }).toBe('hello');
    expect(await fetch('10.77.0.3')).toBe('hello');
    expect(await fetch('[fd77::a3]')).toBe('hello');
    expect(await inside('web', 'ip', 'addr', 'show', 'eth1')).toContain('inet 10.77.0.3/24');
    expect(await inside('web', 'ip', 'route')).toMatch(/default via \S+ dev eth0/);
    const [network] = JSON.parse(await run('network', 'inspect', 'hotextra'));
    expect(
      Object.values(network.Containers)
        .map((each) => (each as { Name: string }).Name)
        .sort(),
    ).toEqual(['hotnet-ask-1', 'hotnet-web-1']);
    const twice = await hypr(['network', 'connect', 'hotextra', 'hotnet-web-1'], { env: stack.env });
    expect([twice.code, twice.stderr]).toEqual([1, expect.stringContaining('already exists in network hotextra')]);
  });

  test('disconnect takes it away, with its routes; the default route and the published ports go to another network', async () => {
    await run('network', 'disconnect', 'bridge', 'hotnet-ask-1');
    expect(await inside('ask', 'ip', 'addr')).not.toContain('eth0');
    expect(await inside('ask', 'ip', 'route')).toMatch(/default via 10\.77\.0\.1 dev eth1/);
    expect(await fetch('www')).toBe('hello');
    expect(await published()).toBe('hello\n');
    await run('network', 'disconnect', 'hotnet_default', 'hotnet-web-1');
    expect(await published()).toBe('hello\n');
    expect(await inside('web', 'ip', 'addr')).not.toContain('eth0');
  });

  test('the next supervisor knows the cards, and a restart has the same networks', async () => {
    const supervisor = (await processesOf('hotnet')).find((line) => !/qemu-system|gvproxy|virtiofsd/.test(line));
    process.kill(Number(supervisor?.split(' ')[0]), 'SIGKILL');
    expect(await fetch('www')).toBe('hello');
    await run('network', 'connect', 'hotnet_default', 'hotnet-web-1');
    expect(await inside('web', 'ip', 'addr')).toContain('eth0');
    const kept = await stack.run(['suspend']);
    expect([kept.code, kept.stderr]).toEqual([1, expect.stringContaining('its networks or disks changed while it ran')]);
    await stack.must(['restart', '-t', '1', 'web']);
    await expect.poll(() => fetch('www'), { timeout: 60_000 }).toBe('hello');
    expect(await published()).toBe('hello\n');
    await run('network', 'disconnect', 'hotextra', 'hotnet-web-1');
    expect(await fetch('www')).toMatch(/bad address/);
  });
});

describe('networks of a running machine that booted without a template', () => {
  let stack: TestStack;
  const run = (...args: string[]): Promise<string> => mustHypr(args, { env: stack.env });
  const inside = (...command: string[]): Promise<string> => stack.must(['exec', '-T', 'web', ...command]);

  beforeAll(async () => {
    stack = await new TestStack('hotcold', { HYPR_TEMPLATES: '0' }).write({
      'compose.yaml': `
services:
  web: {image: busybox, command: ${JSON.stringify(HTTPD)}}
`,
    });
    await stack.must(['up', '-d'], { timeout: 240_000 });
    for (const name of ['cold1', 'cold2']) {
      await run('network', 'create', name);
    }
  });
  afterAll(async () => {
    await stack?.close();
    await hypr(['network', 'rm', '-f', 'cold1', 'cold2'], { env: stack.env });
  });

  test('change as those of a clone do: two cards more, and the first can go', async () => {
    const cards = async () => (await inside('ls', '/sys/class/net')).split('\n').filter((name) => name.startsWith('eth'));
    expect(await cards()).toEqual(['eth0']);
    await run('network', 'connect', 'cold1', 'hotcold-web-1');
    await run('network', 'connect', 'cold2', 'hotcold-web-1');
    expect(await cards()).toHaveLength(3);
    await run('network', 'disconnect', 'hotcold_default', 'hotcold-web-1');
    expect(await cards()).toHaveLength(2);
    const [{ Containers }] = JSON.parse(await run('network', 'inspect', 'cold1'));
    const [{ IPv4Address = '' } = {}] = Object.values(Containers as Record<string, { IPv4Address: string }>);
    const address = IPv4Address.split('/')[0];
    expect(await inside('ip', 'route')).toMatch(/default via/);
    const out = await mustHypr(
      ['run', '--rm', '--network', 'cold1', 'busybox', 'wget', '-q', '-T', '10', '-O', '-', `http://${address}/`],
      {
        env: stack.env,
      },
    );
    expect(out).toBe('hello\n');
  });

  test('are known to the next supervisor, which has the freed port', async () => {
    const supervisor = (await processesOf('hotcold')).find((line) => !/qemu-system|gvproxy|virtiofsd/.test(line));
    process.kill(Number(supervisor?.split(' ')[0]), 'SIGKILL');
    await run('network', 'connect', 'hotcold_default', 'hotcold-web-1');
    expect(await inside('ls', '/sys/class/net')).toMatch(/(eth\d\s+){3}/);
    // Whatever name the kernel gave it before it was set up.
    expect((await inside('ip', '-4', 'addr', 'show', 'up')).match(/inet (?!127)/g)).toHaveLength(3);
    await run('network', 'disconnect', 'cold2', 'hotcold-web-1');
    await run('network', 'disconnect', 'cold1', 'hotcold-web-1');
    expect(await inside('ip', 'route')).toMatch(/default via/);
  });
});
