import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { mustRun } from '../../../base/host/process.ts';
import { type CliResult, hypr, mustHypr } from '../../support/cli.ts';
import { freePort } from '../../support/free-port.ts';
import { askEdgeFor, textOf } from './edge-client.ts';

const EDGE = await freePort();
const WEB = await freePort();
/** HYPR_TEST_COPIES=10 is twenty machines. */
const COPIES = Number(process.env.HYPR_TEST_COPIES ?? 3);
const MINUTES = 60_000;

const FILE = `
name: copied
services:
  web:
    image: busybox:1.37
    container_name: front
    command: httpd -f -p 8080 -h /www
    volumes: ['./www:/www:ro']
    ports: ['127.0.0.1:${WEB}:8080']
    stop_grace_period: 0s
    healthcheck: {test: ['CMD', 'wget', '-q', '-O', '/dev/null', 'http://127.0.0.1:8080/cgi-bin/page'], interval: 1s, timeout: 30s, start_period: 120s}
  back:
    image: busybox:1.37
    command: httpd -f -p 9000 -h /back
    volumes: ['./back:/back:ro']
    stop_grace_period: 0s
`;

/** Of the other service, so that an answer tells that the copies' networks are apart, too. */
const PAGE = `#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
wget -q -O - http://back:9000/which.txt
`;

describe('copies of a project in git worktrees, all up at once', () => {
  let folder: string;
  const branches = Array.from({ length: COPIES - 1 }, (_, at) => `feature-${at + 1}`);
  const checkouts = ['copied', ...branches];
  const stacks = ['copied', ...branches.map((branch) => `copied-${branch}`)];
  const env = { HYPR_HOME: inject('hyprHome'), HYPR_REGISTRY_MIRRORS: inject('mirrors'), HYPR_EDGE_PORT: String(EDGE), HYPR_DNS_PORT: '0' };
  const inCopy = (checkout: string) => ({ cwd: join(folder, checkout), env, timeout: 9 * MINUTES });
  const each = <T>(ask: (checkout: string) => Promise<T>): Promise<T[]> => Promise.all(checkouts.map(ask));
  const git = (...args: string[]) =>
    mustRun('git', ['-C', join(folder, 'copied'), '-c', 'user.name=test', '-c', 'user.email=test@example.com', ...args]);
  let started: CliResult[];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypr-copies-'));
    const first = join(folder, 'copied');
    await Promise.all(['www/cgi-bin', 'back'].map((name) => mkdir(join(first, name), { recursive: true })));
    await writeFile(join(first, 'compose.yaml'), FILE);
    await writeFile(join(first, 'www/cgi-bin/page'), PAGE);
    await chmod(join(first, 'www/cgi-bin/page'), 0o755);
    await writeFile(join(first, 'back/which.txt'), 'of nobody\n');
    await git('init', '-q', '-b', 'main');
    await git('add', '-A');
    await git('commit', '-qm', 'all');
    for (const branch of branches) {
      await git('worktree', 'add', '-q', '-b', branch, join(folder, branch));
    }
    await each((checkout) => writeFile(join(folder, checkout, 'back/which.txt'), `of ${checkout}\n`));
    const up = (checkout: string) => hypr(['compose', 'up', '-d', '--wait', '--ports', 'auto'], inCopy(checkout));
    // The first has the name and the port that the file says; the others come together, as those of several agents would.
    started = [await up('copied')];
    started.push(...(await Promise.all(branches.map(up))));
  }, 10 * MINUTES);
  afterAll(async () => {
    await each((checkout) => hypr(['compose', 'down', '-v', '-t', '0'], inCopy(checkout)));
    await rm(folder, { recursive: true, force: true });
  });

  test('each is a stack of its own, and up says how it is called and where its port went', async () => {
    expect(started.map(({ code, stderr }) => (code === 0 ? 0 : stderr))).toEqual(checkouts.map(() => 0));
    const said = started.map(({ stdout, stderr }) => stdout + stderr);
    expect(said[0]).not.toMatch(/is called|is taken/);
    branches.forEach((branch, at) => {
      expect(said[at + 1]).toContain(`This stack is called copied-${branch}, because copied is the one of ${join(folder, 'copied')}.`);
      expect(said[at + 1]).toMatch(new RegExp(`port ${WEB} is taken: front is published at \\d+ instead`));
    });
    const listed = JSON.parse(await mustHypr(['ls', '--format', 'json'], { env })) as Array<{ Name: string }>;
    expect(listed.map(({ Name }) => Name)).toEqual(expect.arrayContaining(stacks));
  });

  test('each answers under its own name, also the one that container_name gives it', async () => {
    const ask = async (name: string) => textOf(await askEdgeFor(`http://${name}.localhost:${EDGE}/cgi-bin/page`));
    for (const label of ['web', 'front']) {
      expect(await Promise.all(stacks.map((stack) => ask(`${label}.${stack}`)))).toEqual(checkouts.map((checkout) => `of ${checkout}\n`));
    }
  });

  test('url, port and exec in a checkout are about its own stack', async () => {
    const urls = await each(async (checkout) => JSON.parse(await mustHypr(['url', '--format', 'json'], inCopy(checkout))));
    expect(urls).toEqual(
      stacks.map((stack) => ({ url: `http://web.${stack}.localhost:${EDGE}/`, service: 'web', port: 8080, reach: 'localhost' })),
    );
    const ports = await each(async (checkout) => (await mustHypr(['compose', 'port', 'web', '8080'], inCopy(checkout))).trim());
    expect(new Set(ports).size).toBe(COPIES);
    expect(ports[0]).toBe(`127.0.0.1:${WEB}`);
    const pages = await Promise.all(ports.map(async (port) => (await fetch(`http://${port}/cgi-bin/page`)).text()));
    expect(pages).toEqual(checkouts.map((checkout) => `of ${checkout}\n`));
    const inside = await each((checkout) => mustHypr(['compose', 'exec', '-T', 'back', 'cat', '/back/which.txt'], inCopy(checkout)));
    expect(inside).toEqual(pages);
  });

  test('one that goes takes only its own name along', async () => {
    const last = checkouts.at(-1) ?? '';
    await mustHypr(['compose', 'down', '-t', '0'], inCopy(last));
    const status = async (stack: string) => {
      const answer = await askEdgeFor(`http://web.${stack}.localhost:${EDGE}/cgi-bin/page`);
      answer.resume();
      return answer.statusCode;
    };
    expect(await Promise.all(stacks.map(status))).toEqual([...stacks.slice(1).map(() => 200), 404]);
  });
});
