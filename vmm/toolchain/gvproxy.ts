import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { exists } from '../../base/host/files.ts';
import { mustRun } from '../../base/host/process.ts';
import type { Tool } from '../model/tools.ts';
import { findInPath, findTool } from './host-programs.ts';
import type { Native } from './native.ts';
import type { Report } from './steps.ts';

export interface GvproxyInput {
  readonly parent: string;
  /** The folder with its go.mod; a parameter, because this floor must not import net. */
  readonly sources: () => Promise<string>;
  readonly native?: Native | undefined;
  readonly report: Report;
  readonly signal: AbortSignal;
}

/** The gateway program: HYPR_GVPROXY, what came with hypr's package, or compiled from net/gateway with modules from the Go module proxy. */
export const makeGvproxy = async (input: GvproxyInput): Promise<Tool> => {
  const own = process.env.HYPR_GVPROXY;
  if (own !== undefined) {
    const found = await findTool({ names: [own], versionArgs: ['version'], minimum: [] }, input.signal);
    if (typeof found === 'string') {
      throw new HyprError('TOOLCHAIN_MISSING', `HYPR_GVPROXY: ${found}`);
    }
    return { ...found, origin: 'env' };
  }
  if (input.native !== undefined) {
    return {
      file: await input.native.install('gvproxy', join(input.parent, 'bin')),
      prefix: [],
      version: input.native.hashOf('gvproxy'),
      origin: 'toolchain',
    };
  }
  const sources = await input.sources();
  const hash = await hashSources(sources);
  const folder = join(input.parent, `gvproxy-${hash}`);
  if (!(await exists(folder))) {
    await buildGvproxy({ ...input, sources, folder });
  }
  return { file: join(folder, 'gvproxy'), prefix: [], version: hash, origin: 'toolchain' };
};

/** Hash of all inputs; go.sum pins the modules. */
const hashSources = async (folder: string): Promise<string> => {
  const all = await readdir(folder, { recursive: true });
  const names = all.filter((name) => /^go\.(mod|sum)$|\.go$/.test(name) && !name.endsWith('_test.go')).sort();
  const hash = createHash('sha256');
  for (const name of names) {
    hash.update(`${name}\0`).update(await readFile(join(folder, name)));
  }
  return hash.digest('hex').slice(0, 12);
};

/** Built with its own caches below HYPR_HOME, which are removed afterwards: Go's module cache takes some hundred megabytes. */
export const buildGvproxy = async (input: {
  readonly sources: string;
  /** Made, with `gvproxy` in it. */
  readonly folder: string;
  readonly report: Report;
  readonly signal: AbortSignal;
  /** A version of Go, which the go command fetches; otherwise any that is new enough. */
  readonly goToolchain?: string;
  /** Called while the modules are still there, with the go command and its environment. */
  readonly inspect?: (go: string, env: NodeJS.ProcessEnv) => Promise<void>;
}): Promise<void> => {
  const go = (await findInPath('go')) ?? (await findInPath('/usr/local/go/bin/go'));
  if (go === undefined) {
    throw new HyprError('TOOLCHAIN_MISSING', 'Go is not installed; it is needed to compile the network gateway', {
      hint: 'apt-get install golang-go',
    });
  }
  const staging = `${input.folder}.${process.pid}.tmp`;
  const work = `${input.folder}.${process.pid}.go.tmp`;
  await mkdir(staging, { recursive: true, mode: 0o755 });
  // The user's GOPROXY, GOSUMDB and the like are kept.
  const env = {
    HOME: homedir(),
    ...process.env,
    GOPATH: join(work, 'path'),
    GOMODCACHE: join(work, 'modules'),
    GOCACHE: join(work, 'cache'),
    GOFLAGS: '-modcacherw -trimpath -mod=readonly -buildvcs=false',
    GOTOOLCHAIN: input.goToolchain ?? 'auto',
    GOWORK: 'off',
    CGO_ENABLED: '0',
  };
  const begin = Date.now();
  const onOutput = () => input.report({ text: `Compiling ${Math.round((Date.now() - begin) / 1000)}s` });
  try {
    input.report({ text: 'Compiling' });
    await mustRun(go, ['build', '-ldflags=-s -w', '-o', join(staging, 'gvproxy'), '.'], {
      env,
      cwd: input.sources,
      signal: input.signal,
      onOutput,
      timeout: 1_200_000,
    });
    await input.inspect?.(go, env);
    await rename(staging, input.folder);
  } finally {
    await rm(work, { recursive: true, force: true });
    await rm(staging, { recursive: true, force: true });
  }
};
