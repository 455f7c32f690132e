import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { exists } from '../../base/files.ts';
import type { FileOrders, GuestClient } from '../../guest/types.ts';
import { parsePatterns } from '../context/ignore.ts';
import { type FileTree, findEntry } from '../context/tree.ts';
import { expandWord } from '../dockerfile/expand.ts';
import type { RunInstruction } from '../dockerfile/instruction.ts';
import { type Mount, parseMount } from '../dockerfile/mount.ts';
import type { BuildContext } from './build-context.ts';
import { planCopy } from './copy-plan.ts';
import { digestSelections, type Selection, selectSources } from './copy-select.ts';
import { LayerTree } from './layer-tree.ts';
import { resolveSource } from './sources.ts';
import { lookupIn, type StageState, workdirOf } from './state.ts';
import { StepFault } from './step-error.ts';
import { moveTar } from './tar-move.ts';
import { type LayerItem, writeLayer } from './tar-write.ts';

/** One mount of a RUN with what it needs at hand. */
export interface PreparedMount {
  readonly mount: Mount;
  /** Absolute path in the root; undefined for a secret that is only a variable. */
  readonly target: string | undefined;
  /** bind: what is put there; a cache: what it starts with. */
  readonly content?: { readonly tree: FileTree; readonly selection: Selection };
  /** What the cache key says about it. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly cacheFile?: string;
  readonly secret?: Uint8Array;
}

const MAX_SECRET = 500 * 1024;
const MAX_BIND_FILE = 256 * 1024 * 1024;

/** Resolves the mounts of a RUN: variables, sources, secrets. Throws StepFault. */
export const prepareMounts = async (
  build: BuildContext,
  step: { instruction: RunInstruction; state: StageState; index: number },
): Promise<PreparedMount[]> => {
  const { instruction, state } = step;
  const expand = (text: string) => expandWord(text, lookupIn(state), { escape: build.dockerfile.directives.escape });
  const prepared: PreparedMount[] = [];
  for (const text of instruction.mounts) {
    const mount = await prepareMount(build, parseMount(text, expand), step);
    if (mount !== undefined) {
      prepared.push(mount);
    }
  }
  return prepared;
};

const prepareMount = async (
  build: BuildContext,
  mount: Mount,
  step: { instruction: RunInstruction; state: StageState; index: number },
): Promise<PreparedMount | undefined> => {
  const target = mount.target === undefined ? undefined : posix.resolve('/', workdirOf(step.state), mount.target);
  const { type, readOnly } = mount;
  switch (type) {
    case 'tmpfs':
      return { mount, target, facts: { type, target, size: mount.size } };
    case 'secret':
      return await prepareSecret(build, mount, target);
    case 'ssh':
      if (mount.required) {
        throw new StepFault(`no SSH key ${JSON.stringify(mount.id ?? 'default')} forwarded from the client`);
      }
      return undefined;
    case 'cache': {
      const id = mount.id ?? posix.normalize(target ?? '');
      const namespace = build.request.buildArgs.BUILDKIT_CACHE_MOUNT_NS ?? '';
      const cacheFile = join(build.buildFolder, 'mounts', `${createHash('sha256').update(`${namespace}/${id}`).digest('hex')}.tar`);
      const content = mount.from === undefined ? undefined : await selectMount(build, mount, step);
      const facts = { type, target, readOnly, digest: content?.digest };
      return { mount, target, cacheFile, facts, ...(content ? { content } : {}) };
    }
    case 'bind': {
      const content = await selectMount(build, mount, step);
      return { mount, target, content, facts: { type, target, readOnly, digest: content.digest } };
    }
  }
};

const selectMount = async (build: BuildContext, mount: Mount, step: { instruction: RunInstruction; index: number }) => {
  const source = await resolveSource(build, mount.from, step.index);
  const tree = await source.tree();
  const path = posix.resolve('/', mount.source ?? '/');
  if (findEntry(tree, path) === undefined) {
    const reason = source.explainMissing?.(path.slice(1));
    throw new StepFault(`failed to calculate checksum of the mount source "${path}": not found${reason ? `: ${reason}` : ''}`);
  }
  const where = { file: build.dockerfile.file, line: step.instruction.range.line };
  const sources = [path.replace(/[*?[\\]/g, '\\$&')];
  const [selection] = selectSources({ tree, sources, exclude: parsePatterns([], where), parents: false });
  if (selection === undefined) {
    throw new StepFault(`the mount source "${path}" cannot be read`);
  }
  return { tree, selection, digest: await digestSelections(tree, [selection], build.signal) };
};

const prepareSecret = async (build: BuildContext, mount: Mount, target: string | undefined): Promise<PreparedMount> => {
  const id = mount.id ?? mount.source ?? posix.basename(target ?? '');
  // With env= alone there is no file.
  const path = target ?? (mount.env === undefined ? `/run/secrets/${posix.basename(id)}` : undefined);
  const facts = { type: 'secret', id, target: path, env: mount.env };
  const given = Object.hasOwn(build.request.secrets, id) ? build.request.secrets[id] : undefined;
  if (given === undefined) {
    if (mount.required) {
      throw new StepFault(`secret ${id}: not found`, { hint: 'name it under build.secrets of the service' });
    }
    return { mount, target: undefined, facts };
  }
  const secret = 'value' in given ? Buffer.from(given.value) : await readFile(given.file);
  if (secret.length > MAX_SECRET) {
    throw new StepFault(`secret ${id} is larger than ${MAX_SECRET} bytes`);
  }
  return { mount, target: path, secret, facts };
};

/** Puts the content of the mounts into a machine. Nothing of it may reach the layer: see `mountFilter`. */
export const fillMounts = async (guest: GuestClient, mounts: readonly PreparedMount[], signal: AbortSignal): Promise<void> => {
  for (const prepared of mounts) {
    const { mount, target, content, secret, cacheFile } = prepared;
    if (target === undefined) {
      continue;
    }
    const isFile = content?.selection.entries[0]?.entry.type === 'file';
    if (secret !== undefined) {
      const owner = { mode: mount.mode ?? 0o400, uid: mount.uid ?? 0, gid: mount.gid ?? 0 };
      await guest.writeFiles([{ path: target, content: secret, ...owner }], signal);
    } else if (cacheFile !== undefined && (await exists(cacheFile))) {
      await guest.writeTar('/', writeLayer(folderItems({ ...prepared, content: undefined }, target)), signal);
      await guest.writeTar('/', moveTar(createReadStream(cacheFile), target), signal);
    } else if (content !== undefined && isFile) {
      await guest.writeFiles([await readBindFile(content, target)], signal);
    } else if (mount.type === 'bind' || mount.type === 'cache') {
      await guest.writeTar('/', writeLayer(folderItems(prepared, target)), signal);
    }
  }
};

/** The folder itself with the mount's owner and mode, then its content. */
const folderItems = (
  { mount, content }: Pick<PreparedMount, 'mount'> & { content?: PreparedMount['content'] | undefined },
  target: string,
): LayerItem[] => {
  const owner = { uid: mount.uid ?? 0, gid: mount.gid ?? 0 };
  const path = target.slice(1);
  const attributes = {
    type: 'dir',
    ...owner,
    mode: mount.mode ?? 0o755,
    size: 0,
    mtime: 0,
    link: '',
    deviceMajor: 0,
    deviceMinor: 0,
  } as const;
  const folder: LayerItem = { path, attributes: { ...attributes, xattrs: new Map() } };
  if (content === undefined) {
    return [folder];
  }
  const items = planCopy({
    root: LayerTree.empty,
    owner: undefined,
    chmod: undefined,
    epoch: 0,
    sources: [{ tree: content.tree, selections: [content.selection] }],
    documents: [],
    target: `${target}/`,
    parents: false,
  });
  return [folder, ...items.filter((item) => item.path.startsWith(`${path}/`))];
};

const readBindFile = async (content: { tree: FileTree; selection: Selection }, target: string): Promise<FileOrders> => {
  const entry = content.selection.entries[0]?.entry;
  if (entry === undefined || entry.size > MAX_BIND_FILE) {
    throw new StepFault(`the file for ${target} is larger than ${MAX_BIND_FILE} bytes`);
  }
  const parts: Uint8Array[] = [];
  for await (const chunk of content.tree.read(entry)) {
    parts.push(chunk);
  }
  return { path: target, content: Buffer.concat(parts), mode: entry.mode, uid: entry.uid, gid: entry.gid };
};

/** Brings what a RUN left in its cache mounts back to the host, each as one file that replaces the old. */
export const saveCaches = async (guest: GuestClient, mounts: readonly PreparedMount[], signal: AbortSignal): Promise<void> => {
  for (const { target, cacheFile, mount } of mounts) {
    if (cacheFile === undefined || target === undefined || mount.readOnly) {
      continue;
    }
    const aside = `${cacheFile}.${process.pid}.${randomBytes(4).toString('hex')}`;
    try {
      await mkdir(join(cacheFile, '..'), { recursive: true, mode: 0o700 });
      await pipeline(guest.readTar(target, {}, signal), createWriteStream(aside, { flags: 'wx', mode: 0o600 }), { signal });
      await rename(aside, cacheFile);
    } finally {
      await rm(aside, { force: true });
    }
  }
};

/** What of a layer comes from mounts: their targets, and the folders that only had to be there for them. */
export const mountFilter = (mounts: readonly PreparedMount[], root: LayerTree): { drop: string[]; dropIfEmpty: string[] } => {
  const drop = mounts.flatMap(({ target }) => target ?? []);
  const dropIfEmpty: string[] = [];
  for (const target of drop) {
    for (let parent = posix.dirname(target); parent !== '/'; parent = posix.dirname(parent)) {
      if (root.get(parent.slice(1)) === undefined) {
        dropIfEmpty.push(parent);
      }
    }
  }
  return { drop, dropIfEmpty };
};
