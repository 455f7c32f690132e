import { createHash } from 'node:crypto';
import { join, posix } from 'node:path';
import { HyprError, isErrno } from '../../../base/errors.ts';
import { readNamedFile } from '../../../base/host/read-named.ts';
import { parsePatterns } from '../../context/ignore.ts';
import { type FileTree, findEntry } from '../../context/tree.ts';
import { expandWord } from '../../dockerfile/expand.ts';
import type { RunInstruction } from '../../dockerfile/instruction.ts';
import { expandMount, type Mount } from '../../dockerfile/mount.ts';
import { MAX_SECRET, secretFile } from '../../model/secret-line.ts';
import type { SshForward } from '../../model/types.ts';
import type { BuildContext } from '../frame/build-context.ts';
import { lookupIn, type StageState, workdirOf } from '../frame/state.ts';
import { digestSelections, type Selection, selectSources } from '../layer/copy-select.ts';
import { StepFault } from '../layer/step-error.ts';
import { resolveSource } from '../sources/sources.ts';

/** The content of a bind mount, or the initial content of a cache. */
export interface MountContent {
  readonly tree: FileTree;
  readonly selection: Selection;
  /** Absolute path in the source. */
  readonly path: string;
  readonly digest: string;
  /** Set for a stage or an image, which can be mounted as a disk. */
  readonly layers: readonly string[] | undefined;
}

/** A cache, identified by its id and its initial content. */
export interface CachePlace {
  readonly file: string;
  /** Has initial content, and is therefore cleared by --no-cache (in BuildKit the initial content is a step of its own). */
  readonly hasBeginning: boolean;
}

/** One mount of a RUN with its sources resolved. */
export interface PreparedMount {
  readonly mount: Mount;
  /** Absolute path in the root; undefined for a secret that is only a variable. */
  readonly target: string | undefined;
  readonly content?: MountContent;
  /** What it adds to the cache key. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly cache?: CachePlace;
  readonly secret?: Uint8Array;
  readonly ssh?: SshForward;
}

export interface MountedStep {
  readonly instruction: RunInstruction;
  readonly state: StageState;
  readonly index: number;
}

/** Resolves the mounts of a RUN: variables, sources, secrets, keys. Throws StepFault. */
export const prepareMounts = async (build: BuildContext, step: MountedStep): Promise<PreparedMount[]> => {
  const { instruction, state } = step;
  const expand = (text: string) => expandWord(text, lookupIn(state), { escape: build.dockerfile.directives.escape });
  const prepared: PreparedMount[] = [];
  let sockets = 0;
  for (const parsed of instruction.mounts) {
    const mount = expandMount(parsed, expand);
    const own = await prepareMount(build, mount, { ...step, socket: sockets });
    sockets += mount.type === 'ssh' ? 1 : 0;
    if (own !== undefined) {
      prepared.push(own);
    }
  }
  return prepared;
};

const prepareMount = async (
  build: BuildContext,
  mount: Mount,
  step: MountedStep & { socket: number },
): Promise<PreparedMount | undefined> => {
  const { type, readOnly } = mount;
  const hasPlace = mount.target !== undefined || type === 'bind' || type === 'cache' || type === 'tmpfs';
  // Files without a target are mounted over the step's folder, as in BuildKit.
  const target = hasPlace ? posix.resolve('/', workdirOf(step.state), mount.target ?? '') : undefined;
  if (target === '/') {
    throw new StepFault('invalid mount target "/"', { hint: 'name a target=… below the root folder' });
  }
  switch (type) {
    case 'tmpfs':
      return { mount, target, facts: { type, target, size: mount.size } };
    case 'secret':
      return await prepareSecret(build, mount, target);
    case 'ssh':
      return prepareSsh(build, mount, target ?? `/run/buildkit/ssh_agent.${step.socket}`);
    case 'cache':
      return await prepareCache(build, mount, { ...step, target });
    case 'bind': {
      const content = await selectMount(build, mount, step);
      return { mount, target, content, facts: { type, target, readOnly, digest: content.digest } };
    }
  }
};

const prepareCache = async (
  build: BuildContext,
  mount: Mount,
  step: MountedStep & { target: string | undefined },
): Promise<PreparedMount> => {
  const { target } = step;
  const { type, readOnly, mode, uid, gid } = mount;
  // The target as it is written, so that a relative one is the same cache in every folder.
  const id = mount.id ?? posix.normalize(mount.target ?? '').replace(/(?<=.)\/$/, '');
  const namespace = build.request.buildArgs.BUILDKIT_CACHE_MOUNT_NS ?? '';
  const content = mount.from === undefined ? undefined : await selectMount(build, mount, step);
  const hasBeginning = [content, mode, uid, gid].some((value) => value !== undefined);
  // As in BuildKit, the same id with other initial content is another cache.
  const beginning = hasBeginning ? [content?.digest, content?.path, mode, uid, gid] : [];
  const key = createHash('sha256').update(JSON.stringify([`${namespace}/${id}`, ...beginning]));
  const file = join(build.buildFolder, 'mounts', `${key.digest('hex')}.ext4`);
  const facts = { type, target, readOnly, digest: content?.digest };
  return { mount, target, cache: { file, hasBeginning }, facts, ...(content ? { content } : {}) };
};

const selectMount = async (build: BuildContext, mount: Mount, step: MountedStep): Promise<MountContent> => {
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
  return { tree, selection, path, layers: source.layers, digest: await digestSelections(tree, [selection], build.signal) };
};

const prepareSecret = async (build: BuildContext, mount: Mount, target: string | undefined): Promise<PreparedMount> => {
  const id = mount.id ?? mount.source ?? posix.basename(target ?? '');
  // With env= alone there is no file.
  const path = target ?? (mount.env === undefined ? `/run/secrets/${posix.basename(id)}` : undefined);
  const facts = { type: 'secret', id, target: path, env: mount.env };
  const given = Object.hasOwn(build.request.secrets, id) ? build.request.secrets[id] : await build.request.findSecret?.(id);
  if (given === undefined) {
    if (mount.required) {
      throw new StepFault(`secret ${id}: not found`, {
        hint: `give it: --secret id=${id},src=FILE, or under build.secrets of the service`,
      });
    }
    return { mount, target: undefined, facts };
  }
  const secret = 'value' in given ? Buffer.from(given.value) : await readSecret(id, given.file);
  if (secret.length > MAX_SECRET) {
    throw new StepFault(`secret ${id} is larger than ${MAX_SECRET} bytes`);
  }
  return { mount, target: path, secret, facts };
};

const readSecret = async (id: string, file: string): Promise<Uint8Array> => {
  try {
    return await readNamedFile(file, secretFile(file));
  } catch (error) {
    if (error instanceof HyprError) {
      throw new StepFault(`secret ${id}: ${error.message}`);
    }
    throw new StepFault(`secret ${id}: ${isErrno(error, 'ENOENT') ? `there is no file ${file}` : `${file} cannot be read`}`);
  }
};

const prepareSsh = (build: BuildContext, mount: Mount, target: string): PreparedMount | undefined => {
  const id = mount.id ?? 'default';
  const forwards = build.request.ssh ?? {};
  const ssh = Object.hasOwn(forwards, id) ? forwards[id] : undefined;
  if (ssh === undefined) {
    if (mount.required) {
      throw new StepFault(`no SSH key ${JSON.stringify(id)} forwarded from the client`, {
        hint: id === 'default' ? 'forward your agent: --ssh default' : `forward one: --ssh ${id}=KEY_FILE_OR_SOCKET`,
      });
    }
    return undefined;
  }
  return { mount, target, ssh, facts: { type: 'ssh', id, target } };
};
