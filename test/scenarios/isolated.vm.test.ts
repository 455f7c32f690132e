import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { hyprBin } from '../support/cli.ts';
import { OutsideServers, outside } from '../support/outside.ts';
import { processesOf, TestStack } from '../support/stack.ts';

/** Answers an upgrade as a WebSocket server does, and then echoes; anything else by its path. */
const SERVER = `
exec nc -ll -p 8080 -e /bin/sh -c '
    key=; read line; path=\${line#* }; path=\${path%% *}
    while read header; do h=$(echo "$header" | tr -d "\\r"); case "$h" in Sec-WebSocket-Key:*) key=\${h#*: };; "") break;; esac; done
    if [ -n "$key" ]; then
      accept=$(printf "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11" "$key" | sha1sum | cut -d" " -f1)
      printf "HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nX-Accept: %s\\r\\n\\r\\n" "$accept"
      exec cat
    fi
    printf "HTTP/1.0 200 OK\\r\\n\\r\\n%s of an isolated service\\n" "$path"'
done`;

const compose = (port: number) => `
services:
  app:
    image: busybox
    command: ['sh', '-c', ${JSON.stringify(SERVER.trim()).replaceAll('$', '$$$$')}]
    stop_grace_period: 0s
    ports: ['0:8080']
    x-hypr:
      network: isolated
      allow_outbound: true
      allowed_domains: ['${outside}:${port}', 'listed.example.com']
  sealed:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    x-hypr: {network: isolated}
  other:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
`;

describe('x-hypr.network: isolated', () => {
  const servers = new OutsideServers();
  let stack: TestStack;
  let allowed = 0;
  let other = 0;

  beforeAll(async () => {
    [allowed, other] = [await servers.serve(), await servers.serve()];
    stack = await new TestStack('isolated').write({ 'compose.yaml': compose(allowed) });
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
  });
  afterAll(async () => {
    await stack?.close();
    servers.close();
  });

  const run = async (service: string, script: string): Promise<string> => {
    const { stdout, stderr } = await stack.run(['exec', '-T', service, 'sh', '-c', script]);
    return `${stdout}${stderr}`.trim();
  };
  const fetchOf = (url: string) => `wget -q -T 5 -O - ${url} 2>&1 || echo refused`;

  test('its machine has loopback and nothing else, and asks no name server', async () => {
    expect(await run('app', 'ls /sys/class/net; cat /proc/net/route | wc -l')).toBe('lo\n1');
    expect(await run('app', 'nslookup listed.example.com 2>&1 | tail -n 3')).toMatch(/NXDOMAIN|can't find/);
    expect(await run('app', 'env | grep -i proxy | sort')).toBe(
      ['HTTPS_PROXY=http://127.0.0.1:3128', 'HTTP_PROXY=http://127.0.0.1:3128', 'NO_PROXY=localhost,127.0.0.1,::1'].join('\n') +
        '\nhttp_proxy=http://127.0.0.1:3128\nhttps_proxy=http://127.0.0.1:3128\nno_proxy=localhost,127.0.0.1,::1',
    );
  });

  test('HTTP and WebSocket come in through its published port', async () => {
    const address = (await stack.must(['port', 'app', '8080'])).trim();
    expect(await (await fetch(`http://${address}/one`)).text()).toBe('/one of an isolated service\n');
    const [host = '', port] = address.split(':');
    const socket = createConnection(Number(port), host);
    const key = 'dGhlIHNhbXBsZSBub25jZQ==';
    socket.write(`GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ${key}\r\n\r\n`);
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('hex');
    socket.end('\u0081\u0005hello');
    const answer = await text(socket);
    expect(answer).toContain(`X-Accept: ${accept}`);
    expect(answer.endsWith('\r\n\r\n\u0081\u0005hello')).toBe(true);
  });

  test.each<[string, () => string, string]>([
    ['app', () => `http://${outside}:${allowed}/`, 'outside'],
    ['app', () => `http://${outside}:${other}/`, 'refused'],
    ['app', () => `http://127.0.0.1:${allowed}/`, 'refused'],
    ['app', () => 'http://10.0.0.1/', 'refused'],
    ['app', () => 'http://unlisted.example.com/', 'refused'],
    ['sealed', () => `http://${outside}:${allowed}/`, 'refused'],
  ])('%s › reaches what is listed and nothing else (%#)', async (service, url, answer) => {
    expect((await run(service, fetchOf(url()))).split('\n').at(-1)).toBe(answer);
  });

  test('it does not reach other services, nor they it', async () => {
    expect(await run('other', 'nslookup app 2>&1 | tail -n 3')).toMatch(/NXDOMAIN|can't find/);
    expect(await run('app', `env -u http_proxy ${fetchOf('http://other/').slice(0, -16)} || echo refused`)).toContain('refused');
  });

  test('what was refused is told as an event', async () => {
    const events = spawn(hyprBin, ['compose', 'events', '--format', 'json'], {
      cwd: stack.dir,
      env: { ...process.env, ...stack.env },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    onTestFinished(() => void events.kill());
    // It may not listen yet when the first is refused.
    const asking = setInterval(() => void run('app', fetchOf('http://told.example.com/')), 2_000);
    onTestFinished(() => clearInterval(asking));
    for await (const line of createInterface({ input: events.stdout })) {
      if (line.includes('"refuse"')) {
        const told = { service: 'app', type: 'network', attributes: { rule: 'egress', name: 'told.example.com:80' } };
        expect(JSON.parse(line)).toMatchObject(told);
        return;
      }
    }
    throw new Error('the events ended');
  });

  test('a new supervisor takes over its port and its way out', async () => {
    const [supervisor = ''] = (await processesOf(stack.name)).filter((line) => line.includes('supervisor'));
    process.kill(Number.parseInt(supervisor, 10), 'SIGKILL');
    const address = (await stack.must(['port', 'app', '8080'])).trim();
    expect(await (await fetch(`http://${address}/again`)).text()).toBe('/again of an isolated service\n');
    expect(await run('app', fetchOf(`http://${outside}:${allowed}/`))).toBe('outside');
    expect((await run('app', fetchOf(`http://${outside}:${other}/`))).split('\n').at(-1)).toBe('refused');
  });
});
