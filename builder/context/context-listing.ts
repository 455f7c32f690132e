import { type BigIntStats, lstatSync, readdirSync } from 'node:fs';
import { HyprError, isErrno } from '../../base/errors.ts';
import { decodeName, encodeName, isOddName } from '../../base/odd-names.ts';
import { type ContextEntry, toEntry } from './context-entry.ts';
import { readError } from './context-errors.ts';
import { isSameStamp } from './hash-cache.ts';
import type { IgnoreRules } from './ignore.ts';
import { compareBytes, dirName, joinPath } from './tree.ts';

/** More entries than any reasonable context has; stops a build whose context is the host's root folder. */
const MAX_ENTRIES = 2_000_000;

/** What is in a folder of the host, without ignored paths; each folder and file is looked at once. */
export class ContextListing {
  readonly root: string;
  readonly #ignore: IgnoreRules;
  readonly #entries = new Map<string, ContextEntry | undefined>();
  readonly #lists = new Map<string, readonly string[]>();
  readonly #linked = new Map<string, object>();

  constructor(root: string, ignore: IgnoreRules) {
    this.root = root;
    this.#ignore = ignore;
  }

  get(path: string): ContextEntry | undefined {
    if (this.#entries.has(path)) {
      return this.#entries.get(path);
    }
    const entry = this.#find(path);
    this.#entries.set(path, entry);
    if (this.#entries.size > MAX_ENTRIES) {
      throw new HyprError('BUILD_FAILED', `the build context ${this.root} holds more than ${MAX_ENTRIES} files`, {
        hint: 'choose a smaller context folder, or keep files out with a .dockerignore',
      });
    }
    return entry;
  }

  list(path: string): readonly string[] {
    const known = this.#lists.get(path);
    if (known !== undefined) {
      return known;
    }
    const names = this.#readFolder(path).filter((name) => this.get(joinPath(path, name)) !== undefined);
    this.#lists.set(path, names);
    return names;
  }

  /** Whether a path exists but is excluded by the ignore file, for the error text. */
  isIgnored(path: string): boolean {
    return this.#ignore.excludes(path) && this.#stat(path) !== undefined;
  }

  /** Looks at everything anew. Gives the files that are not as they were, or all. */
  renew(all: boolean): string[] {
    const renewed: string[] = [];
    for (const [path, entry] of this.#entries) {
      if (entry?.type === 'file' && (all || !isSameStamp(entry.stamp, this.#stat(path)?.stamp))) {
        renewed.push(path);
      }
    }
    this.#entries.clear();
    this.#lists.clear();
    return renewed;
  }

  /** Path on the host. Not `join`, because paths in the tree are clean already and there may be ten thousand. */
  place(path: string): string | Buffer {
    const place = path === '' ? this.root : `${this.root}/${path}`;
    return isOddName(place) ? encodeName(place) : place;
  }

  #find(path: string): ContextEntry | undefined {
    if (path !== '' && this.get(dirName(path))?.type !== 'dir') {
      return undefined;
    }
    const entry = this.#stat(path);
    if (entry === undefined || path === '' || !this.#ignore.excludes(path)) {
      return entry;
    }
    // An excluded folder is kept if a negated pattern includes something below it again.
    const kept = entry.type === 'dir' && this.#ignore.mayIncludeBelow(path) && this.#hasIncluded(path);
    return kept ? entry : undefined;
  }

  #hasIncluded(folder: string): boolean {
    return this.#readFolder(folder).some((name) => {
      const path = joinPath(folder, name);
      if (!this.#ignore.excludes(path)) {
        return true;
      }
      return this.#ignore.mayIncludeBelow(path) && this.#stat(path)?.type === 'dir' && this.#hasIncluded(path);
    });
  }

  #readFolder(path: string): string[] {
    try {
      return readdirSync(this.place(path), 'buffer').map(decodeName).sort(compareBytes);
    } catch (error) {
      throw readError(error, this.root, path);
    }
  }

  #stat(path: string): ContextEntry | undefined {
    try {
      const stat = lstatSync(this.place(path), { bigint: true });
      // The context folder itself may be a symlink.
      const found = path === '' ? lstatSync(`${this.root}/.`, { bigint: true }) : stat;
      return toEntry(path, found, { root: this.root, linked: this.#linkedFile(found) });
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
        return undefined;
      }
      throw readError(error, this.root, path);
    }
  }

  /** The same object for all names of a file that has several. */
  #linkedFile(stat: BigIntStats): object | undefined {
    if (!stat.isFile() || stat.nlink < 2n) {
      return undefined;
    }
    const id = `${stat.dev} ${stat.ino}`;
    const known = this.#linked.get(id) ?? {};
    this.#linked.set(id, known);
    return known;
  }
}
