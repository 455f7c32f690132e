import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hypr } from '../../support/cli.ts';
import { TestStack } from '../../support/stack.ts';

/** `serve`, or what a client saw: seconds of 100 round trips over a new connection each, and of 32 MiB. */
const PROGRAM = `
import socket, sys, threading, time
def serve():
    s = socket.create_server(('', 7000))
    while True:
        c, _ = s.accept(); threading.Thread(target=answer, args=(c,), daemon=True).start()
def answer(c):
    size = int(c.recv(20)); c.sendall(bytes(size)); c.close()
def get(size):
    with socket.create_connection(('web', 7000), 30) as s:
        s.sendall(str(size).encode()); left = size
        while left > 0:
            data = s.recv(1 << 20)
            if not data: raise SystemExit('cut off')
            left -= len(data)
def timed(work):
    begin = time.time(); work(); return time.time() - begin
def stick():
    socks = []
    for i in range(10):
        s = socket.socket(); s.setblocking(False); s.connect_ex(('203.0.113.%d' % (80 + i), 80)); socks.append(s)
    print('stuck', flush=True); time.sleep(3600)
def flood():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); to = (sys.argv[2], 9); print('flooding', flush=True)
    while True:
        try: s.sendto(bytes(60000), to)
        except OSError: time.sleep(0.01)
what = sys.argv[1]
if what == 'measure': print(timed(lambda: [get(1) for _ in range(100)]), timed(lambda: get(32 << 20)))
else: globals()[what]()
`;

const python = (what: string) => ({
  image: 'python',
  command: ['python3', '-u', '/net.py', what],
  stop_grace_period: '0s',
  configs: [{ source: 'net', target: '/net.py' }],
});

describe('machines that stall', () => {
  const stack = new TestStack('stalled');
  const measure = async (): Promise<{ trips: number; bulk: number }> => {
    const [trips = Number.NaN, bulk = Number.NaN] = (await stack.must(['exec', '-T', 'ask', 'python3', '/net.py', 'measure']))
      .split(' ')
      .map(Number);
    return { trips, bulk };
  };

  beforeAll(async () => {
    const idle = { ...python('serve'), command: ['sleep', '3600'], init: true };
    await stack.write({
      'compose.yaml': JSON.stringify({
        services: { web: python('serve'), ask: idle, still: idle, loud: idle },
        configs: { net: { content: PROGRAM.replaceAll('$', '$$$$') } },
      }),
    });
    await stack.must(['up', '-d'], { timeout: 300_000 });
  });
  afterAll(() => stack.close());

  test('hold up nobody else: a paused one that another floods, and ten connections outside that are never answered', async () => {
    await expect
      .poll(() => stack.run(['exec', '-T', 'ask', 'python3', '/net.py', 'measure']).then(({ code }) => code), { timeout: 60_000 })
      .toBe(0);
    const before = await measure();
    const address = (await stack.must(['exec', '-T', 'loud', 'getent', 'ahostsv4', 'still'])).split(' ')[0] ?? '';
    await stack.must(['exec', '-d', 'ask', 'python3', '/net.py', 'stick']);
    await stack.must(['pause', 'still']);
    await stack.must(['exec', '-d', 'loud', 'sh', '-c', `timeout 40 python3 /net.py flood ${address}`]);
    // What it has not read fills its queue first.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    const during = await measure();
    // A frame that waits for a paused reader costs 50 ms, a dial thirty seconds: a hundred round trips would show either, whatever else runs here.
    expect(during.trips).toBeLessThan(before.trips * 5 + 2);
    expect(during.bulk).toBeLessThan(before.bulk * 5 + 2);
    await stack.must(['unpause', 'still']);
    expect(await stack.must(['exec', '-T', 'still', 'echo', 'well'])).toBe('well\n');
  });
});

describe('a machine that booted, because there is no template', () => {
  const stack = new TestStack('booted', { HYPR_TEMPLATES: '0' });
  beforeAll(async () => {
    await stack.write({
      'compose.yaml': `
services:
  one: { image: busybox, command: sleep 3600, init: true }
  two: { image: busybox, command: sleep 3600, init: true, networks: [other] }
networks: { default: {}, other: { name: booted_other } }
`,
    });
    await stack.must(['up', '-d'], { timeout: 300_000 });
  });
  afterAll(() => stack.close());

  test('takes a network card while it runs, and has it after its next start, too', async () => {
    expect((await stack.run(['exec', '-T', 'one', 'ping', '-c', '1', '-W', '2', 'two'])).code).not.toBe(0);
    expect(await hypr(['network', 'connect', 'booted_other', 'booted-one-1'], { env: stack.env })).toMatchObject({ code: 0, stderr: '' });
    expect(await stack.must(['exec', '-T', 'one', 'ping', '-c', '1', '-W', '5', 'two'])).toContain('1 packets received');
    await stack.must(['stop', '-t', '1', 'one']);
    await stack.must(['start', 'one'], { timeout: 200_000 });
    expect(await stack.must(['exec', '-T', 'one', 'ping', '-c', '1', '-W', '5', 'two'])).toContain('1 packets received');
  });
});
