import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { homePaths } from '../../base/paths.ts';
import { openAuthority } from '../../net/certificates/authority.ts';
import { TestStack } from '../support/stack.ts';

const API = `
  const http = require('http');
  const answer = (port) => (request, response) => response.end([port, request.headers.host, request.headers['x-forwarded-proto'],
    request.headers['x-forwarded-for']].join(' ') + '\\n');
  http.createServer(answer(3000)).listen(3000);
  http.createServer(answer(9229)).listen(9229);
`;

const FILE = `
services:
  api:
    image: node:20-slim
    init: true
    command: ["node", "-e", ${JSON.stringify(API)}]
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
    stack = await new TestStack('insidehttps', { HYPR_EDGE_PORT: '0', HYPR_DNS_PORT: '0' }).write({ 'compose.yaml': FILE });
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
