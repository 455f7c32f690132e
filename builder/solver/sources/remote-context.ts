import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { HyprError } from '../../../base/errors.ts';
import { diskError } from '../../../base/host/files.ts';
import { stagingName } from '../../../base/host/staging.ts';
import { ContextTree } from '../../context/context-tree.ts';
import { HashCache } from '../../context/hash-cache.ts';
import { parseIgnoreFile } from '../../context/ignore.ts';
import { type FileTree, findEntry } from '../../context/tree.ts';
import { openGit } from '../../git/git-checkout.ts';
import { isGitContext } from '../../git/git-url.ts';
import { shownSource } from '../../git/remote-source.ts';
import type { BuildRequest, SshForward } from '../../model/types.ts';
import { LayerTree } from '../layer/layer-tree.ts';
import { StepFault } from '../layer/step-error.ts';
import { buildStagingFolder } from '../layer/sweep.ts';
import { openTar } from './archive.ts';
import { downloadUrl } from './download.ts';

export interface RemoteContext {
  readonly tree: FileTree;
  /** The whole source was a Dockerfile: its text; the tree is empty. */
  readonly dockerfile: string | undefined;
  close(): Promise<void>;
}

interface Options {
  readonly request: BuildRequest;
  readonly buildFolder: string;
  readonly signal: AbortSignal;
}

const MAX_DOCKERFILE = 4 << 20;
const MAX_STDIN = 32 * 1024 ** 3;

/** Fetches a context. As in BuildKit, no .dockerignore is looked for in it. Throws BUILD_FAILED, HYPR_USAGE, TOOLCHAIN_MISSING. */
export const openRemoteContext = async (source: string, options: Options): Promise<RemoteContext> => {
  if (isGitContext(source)) {
    return await openGitContext(source, options);
  }
  try {
    if (source === '-') {
      return await openStdin(options);
    }
    const { file, release } = await downloadUrl(source, { ...options, secrets: options.request.secrets });
    return await openOwnFile(file, source, { ...options, remove: release });
  } catch (error) {
    throw error instanceof StepFault ? new HyprError('BUILD_FAILED', error.message, { ...error.options, cause: error }) : error;
  }
};

/** The Dockerfile of a remote context; symlinks stay inside it. Throws DOCKERFILE_NOT_FOUND. */
export const readRemoteDockerfile = async (
  { tree, dockerfile: whole }: RemoteContext,
  dockerfile: BuildRequest['dockerfile'],
): Promise<{ text: string; name: string }> => {
  if ('text' in dockerfile) {
    return { text: dockerfile.text, name: dockerfile.name };
  }
  if (whole !== undefined) {
    return { text: whole, name: 'Dockerfile' };
  }
  const entry = findEntry(tree, dockerfile.path);
  if (entry?.type !== 'file' || entry.size > MAX_DOCKERFILE) {
    const reason = entry?.type === 'file' ? `is larger than ${MAX_DOCKERFILE} bytes` : 'is not in the build context';
    throw new HyprError('DOCKERFILE_NOT_FOUND', `${dockerfile.path} ${reason}`, {
      hint: 'name the Dockerfile, as it is in the context, with -f',
    });
  }
  return { text: await readText(tree.read(entry)), name: basename(dockerfile.path) };
};

const openGitContext = async (source: string, { request, buildFolder, signal }: Options): Promise<RemoteContext> => {
  const keep = request.buildArgs.BUILDKIT_CONTEXT_KEEP_GIT_DIR ?? '';
  const access = { secrets: request.secrets, ssh: request.ssh?.default ?? ownAgent() };
  const git = await openGit(source, { buildFolder, signal, access, keepGitDir: /^(1|t|true)$/i.test(keep) });
  return { tree: await openCheckout(git.folder, buildFolder), dockerfile: undefined, close: git.close };
};

/** The user named this repository: the user's agent may be asked. */
const ownAgent = (): SshForward | undefined => (process.env.SSH_AUTH_SOCK ? { socket: process.env.SSH_AUTH_SOCK } : undefined);

/** A folder that hypr made, seen whole. Its hashes are not worth keeping. */
export const openCheckout = async (folder: string, buildFolder: string): Promise<FileTree> =>
  new ContextTree(folder, parseIgnoreFile('', '.dockerignore'), await HashCache.open(buildFolder, folder));

const openStdin = async (options: Options): Promise<RemoteContext> => {
  const { request, buildFolder, signal } = options;
  const folder = buildStagingFolder(buildFolder);
  const file = join(folder, stagingName('stdin'));
  const remove = () => rm(file, { force: true });
  if (request.stdin === undefined) {
    throw new HyprError('HYPR_USAGE', 'there is no standard input to read the build context from');
  }
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await pipeline(Readable.from(request.stdin), limit, createWriteStream(file, { flags: 'wx', mode: 0o600 }), { signal });
    return await openOwnFile(file, 'standard input', { ...options, remove });
  } catch (error) {
    await remove();
    throw diskError(error, file);
  }
};

/** Like openFile; the file goes with the context, or at once when it cannot be one. */
const openOwnFile = async (
  file: string,
  name: string,
  { remove, ...options }: Options & { remove(): Promise<void> },
): Promise<RemoteContext> => {
  try {
    const context = await openFile(file, name, options);
    return { ...context, close: async () => void (await Promise.all([context.close(), remove()])) };
  } catch (error) {
    await remove();
    throw error;
  }
};

/** A tar, compressed or not, by its content; anything else is a Dockerfile. */
const openFile = async (file: string, name: string, { buildFolder, signal }: Options): Promise<RemoteContext> => {
  const tar = await openTar(file, { name, folder: buildStagingFolder(buildFolder), signal });
  if (tar !== undefined) {
    return { tree: tar.tree, dockerfile: undefined, close: tar.close };
  }
  const text = await readText(createReadStream(file));
  if (text.includes('\0')) {
    throw new StepFault(`${shownSource(name)} is neither a tar archive nor a Dockerfile`);
  }
  return { tree: LayerTree.empty, dockerfile: text, close: () => Promise.resolve() };
};

async function* limit(data: AsyncIterable<Uint8Array | string>): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const part of data) {
    const chunk = Buffer.from(part);
    size += chunk.length;
    if (size > MAX_STDIN) {
      throw new StepFault('the build context on standard input is too large');
    }
    yield chunk;
  }
}

const readText = async (data: AsyncIterable<Uint8Array>): Promise<string> => {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of data) {
    parts.push(Buffer.from(chunk));
    size += chunk.length;
    if (size > MAX_DOCKERFILE) {
      throw new StepFault(`the Dockerfile is larger than ${MAX_DOCKERFILE} bytes`);
    }
  }
  return Buffer.concat(parts).toString('utf8');
};
