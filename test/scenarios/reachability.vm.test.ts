import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hypr, mustHypr } from '../support/cli.ts';
import { outside } from '../support/outside.ts';
import { TestStack } from '../support/stack.ts';

// What each of six services on three networks reaches, and one of another stack on an external network with one of them, cell by cell; the
// expected table is computed from the model.

const SUBNETS = { front: '10.197.1', back: '10.197.2', sealed: '10.197.3', shared: '10.197.4' } as const;
type NetworkName = keyof typeof SUBNETS;
const SERVICES: Readonly<Record<string, readonly NetworkName[]>> = {
  a: ['front'],
  b: ['front', 'back'],
  c: ['back'],
  d: ['back', 'sealed'],
  e: ['sealed'],
  f: ['front', 'back', 'sealed', 'shared'],
  g: ['shared'],
};
/** Of a stack of its own. */
const GUEST = 'g';
const SHARED = 'reachability-shared';
const NAMES = Object.keys(SERVICES);
const addressOf = (service: string, network: NetworkName): string => `${SUBNETS[network]}.${11 + NAMES.indexOf(service)}`;

/** Serves TCP on 7000 and UDP on 7001; with an argument, tries all destinations of it side by side and prints what answered. */
const PROGRAM = `
import json, socket, sys, threading
def serve_tcp():
    s = socket.create_server(('', 7000))
    while True:
        c, _ = s.accept(); c.sendall(b'tcp'); c.close()
def serve_udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 7001))
    while True:
        data, who = s.recvfrom(100); s.sendto(b'udp', who)
def tcp(host, port):
    with socket.create_connection((host, port), 4) as s: return True
def said(host, port):
    with socket.create_connection((host, port), 4) as s: s.settimeout(4); return s.recv(10) != b''
def udp(host, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1); s.connect((host, port))
    for _ in range(4):
        s.send(b'?')
        try: return s.recv(10) != b''
        except socket.timeout: pass
    return False
def dns(host, port):
    return sorted({i[4][0] for i in socket.getaddrinfo(host, None, socket.AF_INET)})
def attempt(index, kind, host, port):
    try: results[index] = globals()[kind](host, port)
    except OSError: results[index] = False
if len(sys.argv) == 1:
    threading.Thread(target=serve_udp, daemon=True).start(); serve_tcp()
tries = json.loads(sys.argv[1]); results = [None] * len(tries)
threads = [threading.Thread(target=attempt, args=(i, *one)) for i, one in enumerate(tries)]
[t.start() for t in threads]; [t.join() for t in threads]
print(json.dumps(results))
`;

interface Rules {
  readonly egress: Readonly<Record<string, string>>;
  readonly policies: ReadonlyArray<{ from: string; to: string; protocol?: string; ports?: number; action: 'allow' | 'deny' }>;
}
const NONE: Rules = { egress: {}, policies: [] };

const compose = (rules: Rules, isMine = (name: string) => name !== GUEST): string =>
  JSON.stringify({
    services: Object.fromEntries(
      Object.entries(SERVICES)
        .filter(([name]) => isMine(name))
        .map(([name, networks]) => [
          name,
          {
            image: 'python',
            command: ['python3', '-u', '/probe.py'],
            stop_grace_period: '0s',
            configs: [{ source: 'probe', target: '/probe.py' }],
            networks: Object.fromEntries(networks.map((network) => [network, { ipv4_address: addressOf(name, network) }])),
            healthcheck: {
              test: ['CMD', 'python3', '-c', "import socket; socket.create_connection(('127.0.0.1', 7000), 2)"],
              interval: '60s',
              start_interval: '3s',
              start_period: '120s',
            },
            ...(rules.egress[name] === undefined
              ? {}
              : { 'x-hypr': { egress: rules.egress[name] === 'deny' ? 'deny' : { allow: [rules.egress[name]] } } }),
          },
        ]),
    ),
    networks: Object.fromEntries(
      Object.entries(SUBNETS).map(([name, prefix]) => [
        name,
        name === 'shared'
          ? { external: true, name: SHARED }
          : { internal: name === 'sealed', ipam: { config: [{ subnet: `${prefix}.0/24` }] } },
      ]),
    ),
    configs: { probe: { content: PROGRAM.replaceAll('$', '$$$$') } },
    ...(rules.policies.length === 0 ? {} : { 'x-hypr': { policies: rules.policies } }),
  });

describe('what services reach', () => {
  let stack: TestStack;
  let guest: TestStack;
  const tcpOutside: Server = createServer((socket) => socket.on('error', () => {}).end('outside'));
  const tcpLoopback: Server = createServer((socket) => socket.on('error', () => {}).end('loopback'));
  const udpOutside: UdpSocket = createSocket('udp4');
  let ports: { tcp: number; udp: number; loopback: number };

  beforeAll(async () => {
    expect(outside, 'the host has no address but loopback: nothing is outside').not.toBe('');
    tcpOutside.listen(0, outside);
    tcpLoopback.listen(0, '127.0.0.1');
    udpOutside.on('message', (_, { port, address }) => udpOutside.send('outside', port, address)).bind(0, outside);
    await Promise.all([once(tcpOutside, 'listening'), once(tcpLoopback, 'listening'), once(udpOutside, 'listening')]);
    ports = {
      tcp: (tcpOutside.address() as AddressInfo).port,
      udp: udpOutside.address().port,
      loopback: (tcpLoopback.address() as AddressInfo).port,
    };
    stack = await new TestStack('reachability').write({ 'compose.yaml': compose(NONE) });
    guest = await new TestStack('reachguest').write({ 'compose.yaml': compose(NONE, (name) => name === GUEST) });
    await mustHypr(['network', 'create', '--subnet', `${SUBNETS.shared}.0/24`, SHARED], { env: stack.env });
    await Promise.all([stack, guest].map((each) => each.must(['up', '-d', '--wait'], { timeout: 240_000 })));
  });
  afterAll(async () => {
    await guest?.close();
    await stack?.close();
    await hypr(['network', 'rm', '-f', SHARED], { env: stack.env });
    tcpOutside.close();
    tcpLoopback.close();
    udpOutside.close();
  });

  interface Cell {
    readonly row: string;
    readonly column: string;
    readonly part: string;
    readonly probe: readonly [kind: string, host: string, port: number];
    readonly answers: unknown;
  }

  /** All cells of one service, with what each should be. */
  const cellsOf = (row: string, rules: Rules): Cell[] => {
    const mine = SERVICES[row] ?? [];
    const mayLeave = (protocol: string, port: number): boolean => {
      const egress = rules.egress[row];
      return mine.some((network) => network !== 'sealed') && (egress === undefined || egress === `${outside}:${port}/${protocol}`);
    };
    const mayReach = (to: string, protocol: string, port: number): boolean => {
      const policy = rules.policies.find(
        (one) =>
          (one.from === '*' || one.from === row) &&
          (one.to === '*' || one.to === to) &&
          (one.protocol ?? protocol) === protocol &&
          (one.ports ?? port) === port,
      );
      return policy?.action !== 'deny';
    };
    const others = NAMES.filter((name) => name !== row).flatMap((column) => [
      ...(SERVICES[column] ?? []).flatMap((network): Cell[] => {
        const shared = mine.includes(network);
        const host = addressOf(column, network);
        return [
          { row, column, part: `tcp ${network}`, probe: ['said', host, 7000], answers: shared && mayReach(column, 'tcp', 7000) },
          { row, column, part: `udp ${network}`, probe: ['udp', host, 7001], answers: shared && mayReach(column, 'udp', 7001) },
        ];
      }),
      {
        row,
        column,
        part: 'dns',
        probe: ['dns', column, 0] as const,
        answers: (SERVICES[column] ?? [])
          .filter((network) => mine.includes(network))
          .map((network) => addressOf(column, network))
          .sort(),
      },
    ]);
    // Those of other networks are addresses like any outside.
    const gateways = mine.flatMap((network): Cell[] => [
      { row, column: 'gateway', part: `dns ${network}`, probe: ['tcp', `${SUBNETS[network]}.1`, 53], answers: true },
      { row, column: 'gateway', part: `http ${network}`, probe: ['tcp', `${SUBNETS[network]}.1`, 80], answers: false },
      { row, column: 'gateway', part: `host ${network}`, probe: ['said', `${SUBNETS[network]}.1`, ports.loopback], answers: false },
      { row, column: 'loopback', part: network, probe: ['said', `${SUBNETS[network]}.254`, ports.loopback], answers: false },
    ]);
    const cells: Cell[] = [
      ...others,
      ...gateways,
      { row, column: 'loopback', part: 'by address', probe: ['said', outside, ports.loopback], answers: false },
      { row, column: 'outside', part: 'tcp', probe: ['said', outside, ports.tcp], answers: mayLeave('tcp', ports.tcp) },
      { row, column: 'outside', part: 'udp', probe: ['udp', outside, ports.udp], answers: mayLeave('udp', ports.udp) },
    ];
    return cells.map((cell) => ({ ...cell, answers: Array.isArray(cell.answers) && cell.answers.length === 0 ? false : cell.answers }));
  };

  /** One line per service and column, so that a difference shows as a row of the table. */
  const tableOf = (cells: ReadonlyArray<Cell & { readonly value: unknown }>): string => {
    const lines = new Map<string, string[]>();
    for (const { row, column, part, value } of cells) {
      const key = `${row} → ${column}`.padEnd(14);
      lines.set(key, [...(lines.get(key) ?? []), `${part}: ${value === true ? 'yes' : value === false ? 'no' : value}`]);
    }
    return [...lines].map(([key, parts]) => `${key}${parts.join(' · ')}`).join('\n');
  };

  const measure = async (rules: Rules): Promise<{ actual: string; expected: string }> => {
    const rows = await Promise.all(
      NAMES.map(async (row) => {
        const cells = cellsOf(row, rules);
        const tries = JSON.stringify(cells.map(({ probe }) => probe));
        const on = row === GUEST ? guest : stack;
        const results = JSON.parse(await on.must(['exec', '-T', row, 'python3', '/probe.py', tries], { timeout: 60_000 })) as unknown[];
        return cells.map((cell, index) => ({ ...cell, value: results[index] }));
      }),
    );
    const cells = rows.flat();
    return { actual: tableOf(cells), expected: tableOf(cells.map((cell) => ({ ...cell, value: cell.answers }))) };
  };

  test('without rules: their networks, and outside where one of these leads there', async () => {
    const { actual, expected } = await measure(NONE);
    expect(actual).toBe(expected);
  }, 90_000);

  test('with rules for outside and between services: those, in machines that run on', async () => {
    const rules: Rules = {
      egress: { a: `${outside}:${ports.tcp}/tcp`, f: 'deny' },
      policies: [
        { from: 'b', to: 'c', protocol: 'tcp', ports: 7000, action: 'allow' },
        { from: '*', to: 'c', action: 'deny' },
        { from: 'e', to: '*', protocol: 'udp', action: 'deny' },
      ],
    };
    const before = await stack.must(['ps', '-q', 'b', 'c', 'd', 'e']);
    await stack.write({ 'compose.yaml': compose(rules) });
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
    expect(await stack.must(['ps', '-q', 'b', 'c', 'd', 'e'])).toBe(before);
    const { actual, expected } = await measure(rules);
    expect(actual).toBe(expected);
  }, 240_000);
});
