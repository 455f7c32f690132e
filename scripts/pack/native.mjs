// The compiled parts of @hypr/linux-x64: static, stripped, and the same bytes from the same sources and compilers, whatever folder they are made in.
import { chmod, copyFile, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { runProgram } from '../../base/host/process.ts';
import { homePaths } from '../../base/paths.ts';
import { compileKestrel } from '../../guest/image/compile.ts';
import { gatewaySources } from '../../net/client/sources.ts';
import { buildGvproxy } from '../../vmm/toolchain/gvproxy.ts';
import { readManifest } from '../../vmm/toolchain/manifest.ts';
import {
  compileMachineJail,
  compilePreload,
  compileShareJail,
  compileSharePreload,
  compileTsc,
  findGuestSources,
} from '../../vmm/toolchain/sources.ts';

/** Go of any other version gives other bytes; the go command fetches this one by itself. */
export const GO_TOOLCHAIN = 'go1.26.8';

/**
 * Compiles everything into `folder`. Returns it with its `bin`, the licences of what is linked in (name → text), the Go modules and
 * the compilers, for the SBOM.
 */
export const makeNative = async (folder) => {
  const { signal } = new AbortController();
  const bin = join(folder, 'bin');
  await mkdir(bin, { recursive: true });
  const { programs } = await readManifest(homePaths());
  const { musl } = programs;
  if (musl === undefined) {
    throw new Error('the toolchain has no musl: hypr setup with the packages of Debian makes one that has');
  }
  const made = join(folder, 'made');
  const parts = {
    kestrel: await compileKestrel(made, { sources: await findGuestSources(), signal, musl }),
    share: await compileShareJail(made, signal, musl),
    machine: await compileMachineJail(made, signal, musl),
    tsc: await compileTsc(made, signal, musl),
    'zygote.so': await compilePreload(made, signal),
    'shares.so': await compileSharePreload(made, signal),
  };
  if (parts['zygote.so'] === null || parts['shares.so'] === null) {
    throw new Error('a preloaded library could not be compiled');
  }
  for (const [name, path] of Object.entries(parts)) {
    await copyFile(path, join(bin, name));
    await chmod(join(bin, name), 0o755);
  }
  const gateway = await makeGateway(folder, signal);
  await rename(gateway.file, join(bin, 'gvproxy'));
  await rm(made, { recursive: true });
  const licences = new Map([...gateway.licences, ['musl', await readFile(join(musl, 'usr/share/doc/musl-dev/copyright'), 'utf8')]]);
  return {
    bin,
    licences,
    modules: gateway.modules,
    muslVersion: await muslVersion(musl),
    compilers: [await firstLine('gcc', ['--version']), GO_TOOLCHAIN],
  };
};

const makeGateway = async (folder, signal) => {
  const sources = await gatewaySources();
  let modules = [];
  const licences = new Map();
  const target = join(folder, 'gateway');
  await buildGvproxy({
    sources,
    folder: target,
    report: () => {},
    signal,
    goToolchain: GO_TOOLCHAIN,
    // While Go's cache of modules is still there.
    inspect: async (go, env) => {
      const listed = await runProgram(go, ['list', '-deps', '-f', '{{with .Module}}{{.Path}} {{.Version}} {{.Dir}}{{end}}', '.'], {
        env,
        cwd: sources,
        signal,
      });
      const unique = new Set(listed.stdout.split('\n').filter((line) => line.split(' ').length === 3 && !line.startsWith('hypr/')));
      modules = [...unique].sort().map((line) => line.split(' '));
      for (const [path, , dir] of modules) {
        licences.set(path, await readFile(join(dir, 'LICENSE'), 'utf8'));
      }
      licences.set('Go', await goLicence(go, env));
    },
  });
  return { file: join(target, 'gvproxy'), modules: modules.map(([path, version]) => ({ path, version })), licences };
};

const goLicence = async (go, env) => {
  const { stdout } = await runProgram(go, ['env', 'GOROOT'], { env });
  return readFile(join(stdout.trim(), 'LICENSE'), 'utf8');
};

const firstLine = async (file, args) => (await runProgram(file, args)).stdout.split('\n')[0];

const muslVersion = async (musl) => {
  const log = gunzipSync(await readFile(join(musl, 'usr/share/doc/musl-dev/changelog.Debian.gz'))).toString();
  return /^musl \(([^)]+)\)/.exec(log)?.[1];
};
