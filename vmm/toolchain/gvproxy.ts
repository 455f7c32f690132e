import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';
import { exists } from '../../base/files.ts';
import { mustRun, runProgram } from '../../base/process.ts';
import type { Tool } from '../tools.ts';

const VERSION = '0.8.9';
/** `-config`, and with it real subnets, came with this one. */
const MINIMUM = [0, 8, 8] as const;
const MODULE = 'github.com/containers/gvisor-tap-vsock/cmd/gvproxy';

/** gvproxy from HYPR_GVPROXY or PATH when it is new enough, else built from its pinned source through the Go module proxy. */
export const makeGvproxy = async (input: { parent: string; signal: AbortSignal }): Promise<Tool> => {
  const found = await findGvproxy(process.env.HYPR_GVPROXY ?? 'gvproxy', input.signal);
  if (found !== undefined) {
    return found;
  }
  const folder = join(input.parent, `gvproxy-${VERSION}`);
  const file = join(folder, 'gvproxy');
  if (!(await exists(file))) {
    await buildGvproxy({ folder, signal: input.signal });
  }
  return { file, prefix: [], version: VERSION, origin: 'toolchain' };
};

const findGvproxy = async (file: string, signal: AbortSignal): Promise<Tool | undefined> => {
  try {
    const { stdout, stderr } = await runProgram(file, ['-version'], { signal, timeout: 10_000 });
    const version = parseVersion(`${stdout}${stderr}`);
    return version !== undefined && isAtLeast(version, MINIMUM)
      ? { file, prefix: [], version: version.join('.'), origin: process.env.HYPR_GVPROXY ? 'env' : 'path' }
      : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES')) {
      return undefined;
    }
    throw error;
  }
};

/** `gvproxy version v0.8.9` → [0, 8, 9] */
export const parseVersion = (text: string): [number, number, number] | undefined => {
  const match = /(\d+)\.(\d+)\.(\d+)/.exec(text);
  return match === null ? undefined : [Number(match[1]), Number(match[2]), Number(match[3])];
};

export const isAtLeast = (version: readonly number[], minimum: readonly number[]): boolean => {
  for (const [index, wanted] of minimum.entries()) {
    const got = version[index] ?? 0;
    if (got !== wanted) {
      return got > wanted;
    }
  }
  return true;
};

/** Built with caches of its own below HYPR_HOME, which are removed afterwards: Go's module cache is some hundred megabytes. */
const buildGvproxy = async (input: { folder: string; signal: AbortSignal }): Promise<void> => {
  const aside = `${input.folder}.${process.pid}.tmp`;
  const work = `${input.folder}.${process.pid}.go`;
  await mkdir(aside, { recursive: true });
  const env = {
    HOME: homedir(),
    ...process.env,
    GOPATH: join(work, 'path'),
    GOCACHE: join(work, 'cache'),
    GOBIN: aside,
    GOFLAGS: '-modcacherw -trimpath',
    CGO_ENABLED: '0',
    GOTOOLCHAIN: 'auto',
  };
  try {
    await mustRun('go', ['install', '-ldflags=-s -w', `${MODULE}@v${VERSION}`], { env, signal: input.signal });
    await rename(aside, input.folder);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      throw new HyprError(
        'TOOLCHAIN_MISSING',
        `gvproxy ${MINIMUM.join('.')} or newer is not in PATH, and there is no Go to build it with`,
        { hint: 'apt-get install golang-go' },
      );
    }
    throw error;
  } finally {
    await rm(work, { recursive: true, force: true });
    await rm(aside, { recursive: true, force: true });
  }
};
