import { baseName, cleanPath, compareBytes, dirName, type FileTree, joinPath, resolvePath, type TreeEntry } from '../../context/tree.ts';
import { WHITEOUT } from '../../layers/whiteouts.ts';
import type { ModeChange } from './file-mode.ts';
import { StepFault } from './step-error.ts';
import type { LayerItem } from './tar-write.ts';
import type { Owner } from './users.ts';

type Attributes = LayerItem['attributes'];

interface Planned {
  readonly attributes: Attributes;
  readonly content?: LayerItem['content'];
  /** Names with the same identity become hard links of each other. */
  readonly identity?: object;
}

const NO_XATTRS: ReadonlyMap<string, Buffer> = new Map();

export interface PlanOptions {
  /** What the layer will lie on. */
  readonly root: Pick<FileTree, 'get'>;
  /** Owner of everything the step makes; without it sources keep theirs. */
  readonly owner: Owner | undefined;
  readonly chmod: ModeChange | undefined;
  /** Seconds; the time of folders that no source gives one. */
  readonly epoch: number;
}

/**
 * A layer that is being planned. It knows the tree below it, so that symlinks of the target are followed inside
 * the root and existing parents are written with the attributes they have.
 */
export class LayerPlan {
  readonly #options: PlanOptions;
  readonly #planned = new Map<string, Planned>();

  constructor(options: PlanOptions) {
    this.#options = options;
  }

  /** The entry as it will be; symlinks not followed. */
  get(path: string): Pick<TreeEntry, 'type' | 'link'> | undefined {
    return this.#planned.get(path)?.attributes ?? this.#options.root.get(path);
  }

  /** Where a path of the root really is. Throws StepFault when its symlinks go round in circles. */
  resolve(path: string): string {
    // The planned entries look like a tree's as far as resolving goes.
    const resolved = resolvePath({ get: (at) => this.get(at) as TreeEntry | undefined }, path);
    if (resolved === undefined) {
      throw new StepFault(`too many symbolic links in /${cleanPath(path)}`);
    }
    return resolved;
  }

  /** Makes a folder and its missing parents, 0755; gives its real path. */
  makeFolder(path: string): string {
    let current = '';
    for (const part of this.#parts(path)) {
      current = this.resolve(joinPath(current, part));
      const type = this.get(current)?.type;
      if (type === undefined) {
        this.#makeMissing(current);
      } else if (type !== 'dir') {
        throw new StepFault(`cannot copy to non-directory: /${current}`);
      }
    }
    return current;
  }

  /** Puts one entry at a real path; a folder that is already there keeps its attributes unless told otherwise. */
  put(path: string, entry: TreeEntry, options: { tree: FileTree; overwriteFolder: boolean; replace: boolean }): void {
    if (baseName(path).startsWith(WHITEOUT)) {
      throw new StepFault(`/${path} cannot be in an image: in a layer a name that begins with ${WHITEOUT} means that a file was deleted`, {
        hint: 'rename the file, or keep it out with **/.wh.* in .dockerignore or --exclude',
      });
    }
    const existing = this.get(path)?.type;
    if (entry.isImplied && options.replace) {
      this.#putImplied(path, { existing, mtime: entry.mtime });
      return;
    }
    if (entry.type === 'dir' && existing !== undefined && existing !== 'dir' && !options.replace) {
      throw new StepFault(`cannot copy to non-directory: /${path}`);
    }
    if (entry.type !== 'dir' && existing === 'dir' && !options.replace) {
      throw new StepFault(`cannot replace to directory /${path} with file`);
    }
    if (entry.type === 'dir' && existing === 'dir' && !options.overwriteFolder) {
      this.#takeTime(path, entry);
      return;
    }
    if (entry.type !== 'dir' && existing === 'dir') {
      this.#forgetBelow(path);
    }
    this.#set(path, {
      // As with BuildKit, what an archive holds gets the owner that is asked for, and keeps its modes.
      attributes: this.#attributes(entry, options.replace ? undefined : this.#options.chmod),
      identity: entry.identity,
      ...(entry.type === 'file' ? { content: { tree: options.tree, entry } } : {}),
    });
  }

  /** Writes a file whose bytes are known. */
  putBytes(path: string, bytes: Uint8Array, mode: number): void {
    if (this.get(path)?.type === 'dir') {
      throw new StepFault(`cannot replace to directory /${path} with file`);
    }
    const { owner, chmod, epoch } = this.#options;
    const attributes = { ...FILE, ...ROOT, ...owner, mode: chmod?.(mode, false) ?? mode, size: bytes.length, mtime: epoch };
    this.#set(path, { attributes, content: { bytes } });
  }

  /** Everything, parents first; empty when nothing changed. */
  items(): LayerItem[] {
    const first = new Map<object, string>();
    return [...this.#planned]
      .sort(([a], [b]) => compareBytes(a, b))
      .map(([path, { attributes, content, identity }]) => {
        const hardlink = identity && attributes.type === 'file' ? first.get(identity) : undefined;
        if (identity && hardlink === undefined) {
          first.set(identity, path);
        }
        return { path, attributes, ...(content ? { content } : {}), ...(hardlink === undefined ? {} : { hardlink }) };
      });
  }

  #parts(path: string): string[] {
    return path.split('/').filter((part) => part !== '' && part !== '.');
  }

  /** `path` is real except for components that a dangling symlink named. */
  #makeMissing(path: string): void {
    let current = '';
    for (const part of path.split('/')) {
      current = joinPath(current, part);
      if (this.get(current) === undefined) {
        const { owner, epoch } = this.#options;
        const { mode, gid } = this.#inherited(current);
        this.#set(current, { attributes: { ...FILE, ...ROOT, gid, ...owner, type: 'dir', mode, mtime: epoch } });
      }
    }
  }

  /** A folder that an archive has no entry of: root's, whoever is to own the rest; one that is there stays as it is. */
  #putImplied(path: string, { existing, mtime }: { existing: TreeEntry['type'] | undefined; mtime: number }): void {
    if (existing !== undefined && existing !== 'dir') {
      throw new StepFault(`cannot copy to non-directory: /${path}`);
    }
    if (existing === undefined) {
      this.#set(path, { attributes: { ...FILE, ...ROOT, type: 'dir', mode: this.#inherited(path).mode, mtime } });
    }
  }

  /** What mkdir(2) gives a new folder, which BuildKit leaves as it is: below a folder with the setgid bit that bit, and the group. */
  #inherited(path: string): { mode: number; gid: number } {
    const parent = this.#planned.get(dirName(path))?.attributes ?? this.#options.root.get(dirName(path));
    return parent !== undefined && (parent.mode & SETGID) !== 0 ? { mode: 0o755 | SETGID, gid: parent.gid } : { mode: 0o755, gid: 0 };
  }

  #set(path: string, planned: Planned): void {
    for (let parent = dirName(path); parent !== '' && !this.#planned.has(parent); parent = dirName(parent)) {
      const entry = this.#options.root.get(parent);
      if (entry !== undefined) {
        this.#planned.set(parent, { attributes: { ...entry, xattrs: keepXattrs(entry) } });
      }
    }
    this.#planned.set(path, planned);
  }

  /** The folder that a folder is copied to gets its time, and nothing else; the root of a tree has none that means anything. */
  #takeTime(path: string, { path: source, mtime }: TreeEntry): void {
    const known = this.#planned.get(path);
    const attributes = known?.attributes ?? this.#options.root.get(path);
    if (attributes !== undefined && path !== '' && source !== '') {
      this.#set(path, { ...known, attributes: { ...attributes, xattrs: keepXattrs(attributes), mtime } });
    }
  }

  #forgetBelow(path: string): void {
    for (const other of this.#planned.keys()) {
      if (other.startsWith(`${path}/`)) {
        this.#planned.delete(other);
      }
    }
  }

  #attributes(entry: TreeEntry, chmod: ModeChange | undefined): Attributes {
    const { owner } = this.#options;
    const mode = chmod && entry.type !== 'symlink' ? chmod(entry.mode, entry.type === 'dir') : entry.mode;
    return { ...entry, ...owner, mode, xattrs: keepXattrs(entry) };
  }
}

const FILE = { type: 'file', link: '', size: 0, deviceMajor: 0, deviceMinor: 0, xattrs: NO_XATTRS } as const;
const ROOT = { uid: 0, gid: 0 } as const;
const SETGID = 0o2000;

/** Drops overlayfs's own attributes, which do not belong to the file. */
const keepXattrs = (entry: Pick<TreeEntry, 'xattrs'>): ReadonlyMap<string, Buffer> =>
  entry.xattrs.size === 0 ? entry.xattrs : new Map([...entry.xattrs].filter(([key]) => !key.startsWith('trusted.overlay.')));
