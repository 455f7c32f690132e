import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { exists } from '../../base/host/files.ts';
import { mustRun } from '../../base/host/process.ts';
import type { Tool } from '../model/tools.ts';
import { findInPath, findTool } from './host-programs.ts';
import type { Report } from './steps.ts';

const VERSION = '0.8.9';
/** `-config`, and with it real subnets, came with this one. */
const MINIMUM = [0, 8, 8] as const;
const MODULE = 'github.com/containers/gvisor-tap-vsock/cmd/gvproxy';

export const GVPROXY_SOURCE = `${MODULE}@v${VERSION}`;

/** gvproxy from HYPR_GVPROXY or PATH when it is new enough, else built from its pinned source through the Go module proxy. */
export const makeGvproxy = async (input: { parent: string; report: Report; signal: AbortSignal }): Promise<Tool> => {
  const own = process.env.HYPR_GVPROXY;
  const found = await findTool({ names: [own ?? 'gvproxy'], versionArgs: ['-version'], minimum: MINIMUM }, input.signal);
  if (typeof found !== 'string') {
    return own ? { ...found, origin: 'env' } : found;
  }
  const folder = join(input.parent, `gvproxy-${VERSION}`);
  if (!(await exists(folder))) {
    await buildGvproxy({ ...input, folder, notFound: found });
  }
  return { file: join(folder, 'gvproxy'), prefix: [], version: VERSION, origin: 'toolchain' };
};

/** Built with caches of its own below HYPR_HOME, which are removed afterwards: Go's module cache is some hundred megabytes. */
const buildGvproxy = async (input: {
  parent: string;
  folder: string;
  notFound: string;
  report: Report;
  signal: AbortSignal;
}): Promise<void> => {
  const go = (await findInPath('go')) ?? (await findInPath('/usr/local/go/bin/go'));
  if (go === undefined) {
    throw new HyprError('TOOLCHAIN_MISSING', `gvproxy ${MINIMUM.join('.')} or newer is needed, and there is no Go to build it with`, {
      details: [`gvproxy: ${input.notFound}`],
      hint: 'apt-get install golang-go',
    });
  }
  const staging = `${input.folder}.${process.pid}.tmp`;
  const work = `${input.folder}.${process.pid}.go.tmp`;
  await mkdir(staging, { recursive: true, mode: 0o755 });
  // GOPROXY, GOSUMDB and the like stay the user's.
  const env = {
    HOME: homedir(),
    ...process.env,
    GOPATH: join(work, 'path'),
    GOMODCACHE: join(work, 'modules'),
    GOCACHE: join(work, 'cache'),
    GOBIN: staging,
    GOFLAGS: '-modcacherw -trimpath',
    GOTOOLCHAIN: 'auto',
    GOWORK: 'off',
    CGO_ENABLED: '0',
  };
  const begin = Date.now();
  const onOutput = () => input.report({ text: `Compiling ${Math.round((Date.now() - begin) / 1000)}s` });
  try {
    input.report({ text: 'Compiling' });
    await mustRun(go, ['install', '-ldflags=-s -w', GVPROXY_SOURCE], {
      env,
      cwd: staging,
      signal: input.signal,
      onOutput,
      timeout: 1_200_000,
    });
    await rename(staging, input.folder);
  } finally {
    await rm(work, { recursive: true, force: true });
    await rm(staging, { recursive: true, force: true });
  }
};
