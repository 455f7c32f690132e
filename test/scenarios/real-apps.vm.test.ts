import { cpSync } from 'node:fs';
import { mkdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { runProgram } from '../../base/host/process.ts';
import { serveFixtures } from '../../scripts/serve-fixtures.mjs';
import { hypr, root } from '../support/cli.ts';
import { freePort } from '../support/free-port.ts';
import { onlyWhere } from '../support/needs.ts';
import { TestStack } from '../support/stack.ts';

/** An emulated apt, npm and pip beside each other on a loaded host; nothing here is waited for that long otherwise. */
const BUILD_MS = 600_000;
/** Go's standard library, compiled by an emulated machine. */
const SLOW_MS = 1_500_000;

const PORTS = { c: await freePort(), node: await freePort(), python: await freePort(), go: await freePort() } as const;
type App = keyof typeof PORTS;
const QUICK: readonly App[] = ['c', 'node', 'python'];

/** npm's registry, Python's index and Go's proxy as this host has them; Debian's mirror is in the fixture images. */
const registriesOfHost = async (): Promise<NodeJS.ProcessEnv> => {
  const ask = async (program: string, ...args: string[]): Promise<string> => {
    const answer = await runProgram(program, args, { timeout: 60_000 }).catch(() => undefined);
    const text = answer?.code === 0 ? answer.stdout.trim() : '';
    return /^https?:\/\/\S+$/.test(text) ? text : '';
  };
  const [npm, pip, go] = await Promise.all([
    ask('npm', 'config', 'get', 'registry'),
    process.env.PIP_INDEX_URL ?? ask('pip3', 'config', 'get', 'global.index-url'),
    ask('go', 'env', 'GOPROXY'),
  ]);
  const found = { npm_config_registry: npm, PIP_INDEX_URL: pip, GOPROXY: go };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== ''));
};

const pageOf = (app: App): Promise<string> =>
  fetch(`http://127.0.0.1:${PORTS[app]}/`)
    .then((response) => response.text())
    .catch((error: Error) => error.message);

/** What a RUN with these words came to: `DONE` or `CACHED`. */
const endOf = (output: string, words: string): string | undefined => {
  const number = new RegExp(`^#(\\d+) \\[.*\\] RUN.*${words}`, 'm').exec(output)?.[1];
  return new RegExp(`^#${number} (DONE|CACHED)`, 'm').exec(output)?.[1];
};

describe('applications as people write them, built in machines and run as one stack', () => {
  let stack: TestStack;
  let home: string;
  beforeAll(async () => {
    // A home of its own: no step and no cache of anybody's earlier build.
    home = join(tmpdir(), `hypr-apps-test-${process.pid}`);
    await mkdir(home, { recursive: true, mode: 0o700 });
    await symlink(join(inject('hyprHome'), 'toolchain'), join(home, 'toolchain'));
    const ports = Object.fromEntries(Object.entries(PORTS).map(([app, port]) => [`${app.toUpperCase()}_PORT`, String(port)]));
    stack = new TestStack('appstest', { HYPR_HOME: home, ...ports, ...(await registriesOfHost()) });
    cpSync(join(root, 'fixtures', 'apps'), stack.dir, { recursive: true });
  });
  afterAll(async () => {
    await stack.close();
    await rm(home, { recursive: true, force: true });
  });

  /** Builds beside each other, and begins anew what has another image. */
  const up = (apps: readonly App[], options: { timeout: number; env?: NodeJS.ProcessEnv }) =>
    stack.must(['up', '-d', '--build', ...apps], options);
  /** Builds one after the other, and says what every step came to. */
  const buildAll = async (apps: readonly App[], options: { timeout: number; env?: NodeJS.ProcessEnv }): Promise<string> => {
    const { code, stdout, stderr } = await stack.run(['--progress', 'plain', 'build', ...apps], options);
    expect(code, stdout + stderr).toBe(0);
    return stdout + stderr;
  };
  const showPages = async (apps: readonly App[], greeting: string): Promise<void> => {
    const names = { c: 'C', node: 'Node', python: 'Python', go: 'Go' };
    for (const app of apps) {
      await expect.poll(() => pageOf(app), { timeout: 120_000, interval: 250 }).toBe(`${greeting} from ${names[app]}\n`);
    }
  };
  const change = async (path: string, from: string, to: string): Promise<void> => {
    const text = await readFile(join(stack.dir, path), 'utf8');
    expect(text).toContain(from);
    await stack.write({ [path]: text.replace(from, to) });
  };
  const greet = (app: App, path: string): Promise<void> => change(`${app}/${path}`, 'hello from', 'welcome from');
  const build = (args: readonly string[], input = '') =>
    hypr(['build', '--progress', 'plain', ...args], { cwd: stack.dir, env: stack.env, timeout: BUILD_MS, input });

  test(
    'packages of Debian, npm and Python are installed in build machines; every page is there',
    async () => {
      await up(QUICK, { timeout: BUILD_MS });
      await showPages(QUICK, 'hello');
      // Without a distribution below it: the program and the C library.
      const size = await hypr(['image', 'inspect', '--format', '{{.Size}}', 'appstest-c'], { env: stack.env });
      expect(Number(size.stdout)).toBeGreaterThan(100_000);
      expect(Number(size.stdout)).toBeLessThan(8_000_000);
    },
    BUILD_MS,
  );

  test(
    'other sources: packages come from the cache, and the new pages are there',
    async () => {
      await Promise.all([greet('c', 'src/page.c'), greet('node', 'src/server.js'), greet('python', 'page.py')]);
      const output = await buildAll(QUICK, { timeout: BUILD_MS });
      const ends = ['.*apt-get', '.*npm ci', '.*pip ', 'make install'].map((words) => endOf(output, words));
      expect(ends, output).toEqual(['CACHED', 'CACHED', 'CACHED', 'DONE']);
      await up(QUICK, { timeout: BUILD_MS });
      await showPages(QUICK, 'welcome');
    },
    BUILD_MS,
  );

  test(
    'other packages: only what is new is downloaded; through the proxy from registries only',
    async () => {
      await change('c/Dockerfile', 'libc6-dev make', 'libc6-dev make file');
      await change('node/Dockerfile', 'npm ci', 'npm ci --loglevel=http');
      await change('node/package.json', '"express": "5.1.0"', '"express": "5.1.0",\n    "is-number": "7.0.0"');
      await change('node/package-lock.json', '"express": "5.1.0"', '"express": "5.1.0",\n        "is-number": "7.0.0"');
      await change('node/package-lock.json', '"node_modules/is-promise"', `${IS_NUMBER},\n    "node_modules/is-promise"`);
      const registry = stack.env.npm_config_registry ?? 'https://registry.npmjs.org/';
      stack.env.HYPR_BUILD_PROXY_ALLOW = new URL(registry).host;
      const proxied = ['--network=proxy', '--build-arg', 'npm_config_registry'];
      const [apt, npm, refused] = await Promise.all([
        build(['--target', 'build', '--output', 'type=cacheonly', 'c']),
        build([...proxied, '--output', 'type=cacheonly', 'node']),
        build(['--network=proxy', '-f', '-', 'python'], REFUSED),
      ]);
      expect(apt.code, apt.stderr).toBe(0);
      // What is new, and beside it what the caches had: apt says one size when it has nothing.
      expect(apt.stderr).toMatch(/Need to get \S+ [kM]?B\/\S+ [kM]?B of archives/);
      expect(apt.stderr).toMatch(/Get:\d+ .* file /);
      expect(apt.stderr).not.toMatch(/Get:\d+ .* (libc6-dev|tcc) /);
      expect(apt.stderr).not.toMatch(/Get:\d+ .* trixie\/main amd64 Packages/);
      expect(npm.code, npm.stderr).toBe(0);
      const fetched = [...npm.stderr.matchAll(/npm http fetch GET 200 (\S+)/g)].map(([, url = '']) => url.split('/').at(-1));
      expect(fetched, npm.stderr).toEqual(['is-number-7.0.0.tgz']);
      expect(npm.stderr).toMatch(/added 72 packages/);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toMatch(
        /the proxy of this build refused packages\.example\.com:443: it is not on the list of allowed hosts .*\(line 2\)/,
      );
    },
    BUILD_MS,
  );

  onlyWhere(process.env.HYPR_SLOW_TESTS !== '1' && 'it takes many minutes; HYPR_SLOW_TESTS=1 runs it').it(
    'Go: the standard library is compiled once, and the program runs beside the others',
    async () => {
      const registry = await serveFixtures(['golang']);
      const env = { HYPR_REGISTRY_MIRRORS: registry.mirrors };
      try {
        await up(['go'], { timeout: SLOW_MS, env });
        await showPages(['go'], 'hello');
        await greet('go', 'main.go');
        const output = await buildAll(['go'], { timeout: BUILD_MS, env });
        expect(endOf(output, '.*go mod download'), output).toBe('CACHED');
        await up(['go'], { timeout: BUILD_MS, env });
        await showPages(['c', 'node', 'python', 'go'], 'welcome');
      } finally {
        await registry.close();
      }
    },
    SLOW_MS + BUILD_MS,
  );
});

const IS_NUMBER = `"node_modules/is-number": {
      "version": "7.0.0",
      "resolved": "https://registry.npmjs.org/is-number/-/is-number-7.0.0.tgz",
      "integrity": "sha512-41Cifkg6e8TylSpdtTpeLVMqvSBEVzTttHvERD741+pnZ8ANv0004MRL43QKPDlK9cGvNp6NZWZUBlbGXYxxng==",
      "license": "MIT",
      "engines": {
        "node": ">=0.12.0"
      }
    }`;

const REFUSED = `FROM node:20
RUN npm view --registry https://packages.example.com/ is-number
`;
