import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { type CliResult, hypr, mustHypr } from '../../support/cli.ts';
import { fetchDockerCli } from '../../support/clients/docker-cli.ts';
import { processesOf, TestStack } from '../../support/stack.ts';

const compose = (client: string) => `
services:
  web:
    image: busybox
    command: sh -c 'echo from-web; exec sleep 1000'
    stop_grace_period: 0s
  panel:
    image: debian
    command: sleep 1000
    stop_grace_period: 0s
    read_only: true
    user: '65534'
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock:ro
      - ${client}:/client:ro
  chief:
    image: debian
    command: sleep 1000
    stop_grace_period: 0s
    volumes: ['/run/docker.sock:/var/run/docker.sock', '${client}:/client:ro']
    x-hypr: {docker: full}
`;

describe("docker's socket in a service", () => {
  let stack: TestStack;
  let client = '';

  beforeAll(async () => {
    client = dirname(await fetchDockerCli(homePaths().cache));
    stack = await new TestStack('sockin').write({ 'compose.yaml': compose(client) });
  });
  afterAll(async () => {
    for (const name of ['sockin-other', 'sockin-mine', 'sockin-ryuk']) {
      await hypr(['-p', name, 'down'], { env: stack.env });
    }
    await stack?.close();
  });

  const inside = (service: string, ...args: string[]): Promise<CliResult> =>
    stack.run(['exec', '-T', service, '/client/docker', ...args], { timeout: 120_000 });

  test('its own stack can be read, by a service that is read-only and not root; it is said once at up', async () => {
    const up = await stack.run(['up', '-d'], { timeout: 300_000 });
    expect(up.code, up.stderr).toBe(0);
    expect(up.stderr.match(/service panel: docker's socket in it is answered by hypr: it can read/g)).toHaveLength(1);
    await mustHypr(['run', '-d', '--name', 'sockin-other', 'busybox', 'sleep', '1000'], { env: stack.env });
    const ps = await inside('panel', 'ps', '--format', '{{.Names}}');
    expect(ps.stdout.split('\n').filter(Boolean).sort(), ps.stderr).toEqual(['sockin-chief-1', 'sockin-panel-1', 'sockin-web-1']);
    expect((await inside('panel', 'logs', 'sockin-web-1')).stdout).toBe('from-web\n');
    expect((await inside('panel', 'inspect', '--format', '{{.Config.Image}}', 'sockin-web-1')).stdout).toBe('busybox\n');
    expect((await inside('panel', 'network', 'ls', '--format', '{{.Name}}')).stdout).toBe('sockin_default\n');
    // One image can have several tags, given by other tests.
    const repositories = (await inside('panel', 'images', '--format', '{{.Repository}}')).stdout.split('\n').filter(Boolean);
    expect([...new Set(repositories)].sort()).toEqual(['busybox', 'debian']);
  });

  test('what is not of its stack is not there, and nothing is changed', async () => {
    expect(await inside('panel', 'inspect', 'sockin-other')).toMatchObject({ code: 1, stderr: expect.stringMatching(/no such object/i) });
    expect((await inside('panel', 'logs', 'sockin-other')).stderr).toContain('No such container');
    for (const args of [
      ['stop', 'sockin-web-1'],
      ['exec', 'sockin-web-1', 'id'],
      ['create', 'busybox'],
    ]) {
      const { code, stderr } = await inside('panel', ...args);
      expect(code, args.join(' ')).not.toBe(0);
      expect(stderr, args.join(' ')).toMatch(/a machine may not ask for/);
    }
    expect((await stack.ps()).map(({ State }) => State)).toEqual(['running', 'running', 'running']);
  });

  test('with x-hypr.docker: full it has all machines', async () => {
    const ps = await inside('chief', 'ps', '--format', '{{.Names}}');
    expect(ps.stdout.split('\n'), ps.stderr).toContain('sockin-other');
    expect((await inside('chief', 'exec', 'sockin-other', 'echo', 'reached')).stdout).toBe('reached\n');
  });

  test('connections that are held and never used shut out nobody but their own machine', async () => {
    const holder =
      'use Socket; my @h; for (1..200) { socket(my $s, AF_UNIX, SOCK_STREAM, 0); connect($s, pack_sockaddr_un("/var/run/docker.sock")); push @h, $s; } print "held\\n"; sleep 3';
    const held = await stack.run(['exec', '-T', 'panel', 'perl', '-e', holder], { timeout: 60_000 });
    expect(held.stdout).toBe('held\n');
    expect((await inside('chief', 'ps', '-q')).code).toBe(0);
    await expect.poll(async () => (await inside('panel', 'ps', '-q')).code, { timeout: 60_000 }).toBe(0);
  });

  test('the next supervisor answers at the same place', async () => {
    const [supervisor = ''] = (await processesOf('sockin')).filter((line) => /hypr supervisor sockin$/.test(line.trim()));
    expect(supervisor).not.toBe('');
    process.kill(Number.parseInt(supervisor, 10), 'SIGKILL');
    await stack.must(['ps']);
    await stack.must(['exec', '-T', 'web', 'true']);
    expect((await inside('panel', 'ps', '--format', '{{.Names}}')).stdout).toContain('sockin-web-1');
  });

  test("Ryuk's place: a container of a test run sees what the run made, and removes it", async () => {
    const docker = (...args: string[]): Promise<CliResult> =>
      hypr(['with-docker', '--', `${client}/docker`, ...args], { env: { ...stack.env, DOCKER_CONFIG: stack.dir }, timeout: 120_000 });
    const label = ['--label', 'org.testcontainers.session-id=s1', '--label', 'org.testcontainers=true'];
    const mine = await docker('run', '-d', '--name', 'sockin-mine', ...label, 'busybox', 'sleep', '1000');
    expect(mine.code, mine.stderr).toBe(0);
    const socket = ['-v', '/var/run/docker.sock:/var/run/docker.sock', '-v', `${client}:/client`];
    const ryuk = await docker('run', '-d', '--name', 'sockin-ryuk', ...label, ...socket, 'debian', 'sleep', '1000');
    expect(ryuk.code, ryuk.stderr).toBe(0);
    const byRyuk = (...args: string[]): Promise<CliResult> => docker('exec', 'sockin-ryuk', '/client/docker', ...args);
    expect((await byRyuk('ps', '--format', '{{.Names}}')).stdout.split('\n').filter(Boolean).sort()).toEqual([
      'sockin-mine',
      'sockin-ryuk',
    ]);
    expect((await byRyuk('rm', '-f', 'sockin-other')).stderr).toMatch(/No such container/);
    expect((await byRyuk('create', 'busybox')).stderr).toMatch(/a machine may not ask for/);
    expect(await byRyuk('rm', '-f', 'sockin-mine')).toMatchObject({ code: 0 });
    expect((await docker('ps', '-a', '--format', '{{.Names}}')).stdout).not.toContain('sockin-mine');
  });
});
