import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OutsideServers, outside } from '../support/outside.ts';
import { TestStack } from '../support/stack.ts';

const compose = (port: number) => `
services:
  open:
    image: busybox
    command: sleep 1000
  shut:
    image: busybox
    command: sleep 1000
    x-hypr: {egress: deny}
  listed:
    image: busybox
    command: sleep 1000
    x-hypr:
      egress: {allow: ['${outside}:${port}/tcp']}
  web:
    image: busybox
    command: sh -c 'mkdir -p /www && echo inside > /www/index.html && httpd -f -p 80 -h /www'
    x-hypr: {allow_outbound: false}
    ports: ['0:80']
`;

describe('x-hypr.egress', () => {
  const servers = new OutsideServers();
  let stack: TestStack;
  let allowed = 0;
  let other = 0;

  beforeAll(async () => {
    [allowed, other] = [await servers.serve(), await servers.serve()];
    stack = await new TestStack('egress').write({ 'compose.yaml': compose(allowed) });
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
  });
  afterAll(async () => {
    await stack?.close();
    servers.close();
  });

  const fetch = async (service: string, url: string): Promise<string> => {
    const { code, stdout } = await stack.run(['exec', '-T', service, 'wget', '-q', '-T', '5', '-O', '-', url]);
    return code === 0 ? stdout.trim() : 'refused';
  };

  test.each<[string, () => number, string]>([
    ['open', () => allowed, 'outside'],
    ['open', () => other, 'outside'],
    ['shut', () => allowed, 'refused'],
    ['listed', () => allowed, 'outside'],
    ['listed', () => other, 'refused'],
    ['web', () => allowed, 'refused'],
  ])('%s › reaches what its rules allow and nothing else (%#)', async (service, port, answer) => {
    expect(await fetch(service, `http://${outside}:${port()}/`)).toBe(answer);
  });

  test('other services and published ports are not touched by it', async () => {
    expect(await fetch('shut', 'http://web/')).toBe('inside');
    const address = (await stack.must(['port', 'web', '80'])).trim();
    expect(await (await globalThis.fetch(`http://${address}/`)).text()).toBe('inside\n');
  });

  test('a name outside the list is not even asked for', async () => {
    const { code } = await stack.run(['exec', '-T', 'shut', 'nslookup', 'secret.example.com']);
    expect(code).not.toBe(0);
  });

  test('a change of the rules is a change of the service', async () => {
    await stack.write({ 'compose.yaml': compose(other) });
    expect(await stack.must(['up', '--dry-run'])).toMatch(/egress-listed-1/);
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
    expect(await fetch('listed', `http://${outside}:${other}/`)).toBe('outside');
    expect(await fetch('listed', `http://${outside}:${allowed}/`)).toBe('refused');
  });
});
