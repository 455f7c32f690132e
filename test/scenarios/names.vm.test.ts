import { Resolver } from 'node:dns/promises';
import { readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { homePaths, runtimeDir } from '../../base/paths.ts';
import { connectApi } from '../../engine/api/client/client.ts';
import { openNameDirectory } from '../../engine/names/open-directory.ts';
import { openAuthority } from '../../net/certificates/authority.ts';
import { issueLeaf } from '../../net/certificates/issue-leaf.ts';
import { type DnsServer, serveDns } from '../../net/dns/serve.ts';
import type { NameDirectory } from '../../net/names/directory.ts';
import { freePort } from '../support/free-port.ts';
import { processesOf, TestStack } from '../support/stack.ts';
import { untilNames } from '../support/until.ts';

const PORT = await freePort();

const FILE = `
services:
  web:
    image: busybox:1.37
    # Longer than up -d takes to return.
    command: ["sh", "-c", "mkdir /www; echo hello > /www/index.html; sleep 3; exec httpd -f -p 8080 -h /www"]
    labels: {hypr.domains: "front.hypr, *.tenants.hypr"}
    networks: {default: {aliases: [www]}}
    stop_grace_period: 0s
    ports: ["${PORT}:8080"]
  redis_cache:
    image: redis:8
    labels: {hypr.ca: "false"}
    stop_grace_period: 0s
  api:
    image: node:20-slim
    environment: [CERT, KEY]
    command: ["node", "-e", "require('https').createServer({cert: process.env.CERT, key: process.env.KEY}, (_, to) => to.end('secret')).listen(8443)"]
    stop_grace_period: 0s
`;

describe('names of a stack', () => {
  let stack: TestStack;
  let directory: NameDirectory;
  let dns: DnsServer;
  // No other stack runs beside this one, so none gets this authority.
  const { authority: ca } = homePaths(inject('hyprHome'));
  const resolver = new Resolver({ timeout: 5000, tries: 1 });
  beforeAll(async () => {
    // No resolver of this host asks us: the services' own addresses are opened because the setting says that one does.
    stack = await new TestStack('namestest', { HYPR_LOOPBACK: '1', HYPR_EDGE_PORT: '0', HYPR_DNS_PORT: '0' }).write({
      'compose.yaml': FILE,
    });
    const authority = await openAuthority(ca);
    const { cert, key } = await issueLeaf(authority, ['api.namestest.hypr']);
    Object.assign(stack.env, { CERT: cert, KEY: key });
    directory = openNameDirectory(runtimeDir({ ...process.env, HYPR_HOME: inject('hyprHome') }));
    dns = await serveDns(directory, { port: 0 });
    resolver.setServers([`127.0.0.1:${dns.port}`]);
  });
  afterAll(async () => {
    await stack.close();
    await rm(ca, { recursive: true, force: true });
    await dns.close();
    directory.close();
  });

  const until = (holds: () => boolean): Promise<void> => untilNames(directory, holds);

  test('20 of 20 first requests after up -d are answered, though the server listens later', async () => {
    await stack.must(['up', '-d']);
    const answers = await Promise.all(Array.from({ length: 20 }, async () => (await fetch(`http://127.0.0.1:${PORT}/`)).text()));
    expect(answers).toEqual(Array(20).fill('hello\n'));
  });

  test('services, aliases and labels have names, whose ports the guests tell', async () => {
    await until(() => directory.find('namestest')?.webPort === 8080 && directory.find('redis-cache.namestest')?.ports.length === 1);
    expect(directory.find('web.namestest')).toMatchObject({ state: 'running', webPort: 8080, ports: [{ port: 8080, protocol: 'http' }] });
    expect(directory.find('redis-cache.namestest')?.ports).toEqual([{ port: 6379, protocol: 'tcp' }]);
    for (const host of ['web-1', 'www', 'web'].map((name) => `${name}.namestest`).concat('namestest', 'front', 'a.tenants')) {
      expect(await resolver.resolve4(`${host}.hypr`), host).toHaveLength(1);
    }
    await expect(resolver.resolve4('nobody.namestest.hypr')).rejects.toMatchObject({ code: 'ENOTFOUND' });
    const connection = await directory.find('web.namestest')?.connect(8080, AbortSignal.timeout(10_000));
    connection?.write('GET / HTTP/1.0\r\n\r\n');
    let answer = '';
    for await (const chunk of connection ?? []) {
      answer += chunk;
    }
    expect(answer).toMatch(/^HTTP\/1\.[01] 200 .*hello\n$/s);
    await expect(directory.find('web.namestest')?.connect(81, AbortSignal.timeout(10_000))).rejects.toMatchObject({
      code: 'NAME_UNREACHABLE',
    });
  });

  test('what a service listens on answers at its own loopback address, without ports:', async () => {
    await until(() => directory.find('redis-cache.namestest')?.isBound === true);
    const [address] = await resolver.resolve4('redis-cache.namestest.hypr');
    expect(address).toMatch(/^127\.(6[4-9]|[7-9]\d|1\d\d)\./);
    const client = connect({ host: address ?? '', port: 6379 });
    client.write('PING\r\n');
    const [reply] = await new Promise<Buffer[]>((resolve, reject) => client.once('data', (data) => resolve([data])).once('error', reject));
    expect(reply?.toString()).toBe('+PONG\r\n');
    client.destroy();
  });

  test('services reach each other by the same names, and trust the authority of the user', async () => {
    const inside = (service: string, script: string) => stack.must(['exec', '-T', service, 'sh', '-c', script]);
    expect(await inside('web', 'wget -qO- http://web-1.namestest.hypr:8080/')).toBe('hello\n');
    expect(await inside('web', 'printf "PING\\r\\n" | nc redis-cache.namestest.hypr 6379 -w 2')).toContain('+PONG');
    const fetched = `node -e 'fetch("https://api.namestest.hypr:8443/").then((a) => a.text()).then(console.log)'`;
    expect(await inside('api', fetched)).toBe('secret\n');
    // A second start adds nothing more.
    await stack.must(['restart', 'api']);
    const looked = await inside('api', 'cat /etc/ssl/certs/ca-certificates.crt; cat /etc/ssl/certs/????????.0; cat $NODE_EXTRA_CA_CERTS');
    const pem = await readFile(join(ca, 'hypr', 'ca.pem'), 'utf8');
    expect(looked.split(pem)).toHaveLength(4);
    expect(await inside('redis_cache', 'ls /usr/local/share/ca-certificates; echo "<$NODE_EXTRA_CA_CERTS>"')).not.toMatch(/hypr/);
  });

  test('the API says what listens', async () => {
    const folder = runtimeDir({ ...process.env, HYPR_HOME: inject('hyprHome') });
    const api = connectApi(join(folder, 'namestest', 'api.sock'));
    const { replicas = [] } = await api.rpc.ps({});
    api.close();
    expect(replicas.find((replica) => replica.service === 'web')?.listeners).toEqual([{ port: 8080, address: '::' }]);
  });

  test('names follow the scale, go with their supervisor and come back with the next, and go with the stack', async () => {
    await stack.must(['up', '-d', '--no-recreate', '--scale', 'redis_cache=2']);
    await until(() => directory.find('redis-cache-2.namestest')?.isBound === true);
    expect(await resolver.resolve4('redis-cache-2.namestest.hypr')).toEqual([directory.find('redis-cache-2.namestest')?.address]);
    const [supervisor] = (await processesOf('namestest')).filter((line) => line.includes('supervisor'));
    process.kill(Number(supervisor?.split(' ')[0]), 'SIGKILL');
    await until(() => directory.find('web.namestest') === undefined);
    await stack.must(['ps']);
    await until(() => directory.find('web.namestest')?.webPort === 8080);
    await stack.must(['stop', 'web']);
    await expect(resolver.resolve4('web.namestest.hypr')).rejects.toMatchObject({ code: 'ENODATA' });
    await stack.must(['down']);
    await until(() => directory.find('redis-cache.namestest') === undefined);
    await expect(resolver.resolve4('redis-cache.namestest.hypr')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  });
});

const API_PROGRAM = `
  const http = require('http');
  const answer = (port) => (request, response) => response.end([port, request.headers.host, request.headers['x-forwarded-proto'],
    request.headers['x-forwarded-for']].join(' ') + '\\n');
  http.createServer(answer(3000)).listen(3000);
  http.createServer(answer(9229)).listen(9229);
`;

const HTTPS_FILE = `
services:
  api:
    image: node:20-slim
    init: true
    command: ["node", "-e", ${JSON.stringify(API_PROGRAM)}]
    networks: {default: {aliases: [backend]}}
    stop_grace_period: 0s
  web:
    image: nginx:1.26
    stop_grace_period: 0s
    x-hypr: {egress: deny}
  script:
    image: python:3.13
    command: sleep infinity
    stop_grace_period: 0s
  stranger:
    image: node:20-slim
    command: sleep infinity
    stop_grace_period: 0s
x-hypr:
  policies:
    - {from: stranger, to: api, protocol: tcp, ports: 3000, action: deny}
`;

describe('https between services', () => {
  let stack: TestStack;
  // No other stack runs beside this one, so none gets this authority.
  const { authority } = homePaths(inject('hyprHome'));
  beforeAll(async () => {
    await openAuthority(authority);
    stack = await new TestStack('insidehttps', { HYPR_EDGE_PORT: '0', HYPR_DNS_PORT: '0' }).write({ 'compose.yaml': HTTPS_FILE });
    await stack.must(['up', '-d', '--wait']);
  });
  afterAll(async () => {
    await stack.close();
    await rm(authority, { recursive: true, force: true });
  });

  const inside = (service: string, script: string) => stack.run(['exec', '-T', service, 'sh', '-c', script]);
  const API = 'https://api.insidehttps.hypr/';
  const ANSWER = /^3000 (?:api|backend)\.insidehttps\.hypr https \d+\.\d+\.\d+\.\d+\n$/;
  const fetched = (url: string) => `node -e 'fetch("${url}").then((a) => a.text()).then(console.log, (e) => console.log(e.cause.code))'`;

  test('curl, node and python reach a service by its name, without a port, and trust it', async () => {
    // A rule for what leaves the network says nothing about its machines.
    const curl = await inside('web', `curl -sS --retry 60 --retry-connrefused --retry-delay 1 ${API}`);
    expect(curl.stdout, curl.stderr).toMatch(ANSWER);
    const again = await inside('web', `curl -sS -w '%{http_version} %{ssl_verify_result}' https://backend.insidehttps.hypr/`);
    expect(again.stdout.split('\n'), again.stderr).toEqual([expect.stringContaining('https'), '2 0']);
    const python = await inside('script', `python3 -c 'import urllib.request as u; print(u.urlopen("${API}").read().decode(), end="")'`);
    expect(python.stdout, python.stderr).toMatch(ANSWER);
    const node = await inside('stranger', fetched('https://web.insidehttps.hypr/'));
    expect(node.stdout, node.stderr).toContain('<html');
  });

  test('who may not reach the port of a service does not reach it by https either', async () => {
    expect((await inside('stranger', fetched(API))).stdout).toBe('ECONNREFUSED\n');
    // Another service's name at the address of one that may be reached leads nowhere.
    const address = (await inside('web', 'getent hosts api.insidehttps.hypr')).stdout.split(' ')[0];
    const other = await inside(
      'web',
      `curl -sS --resolve web.insidehttps.hypr:443:${address} https://web.insidehttps.hypr/ -o /dev/null -w '%{http_code}'`,
    );
    expect(other.stdout).toBe('421');
  });
});
