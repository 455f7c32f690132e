import { dirname } from 'node:path/posix';
import type { ShareEdits } from '../../../guest/types.ts';
import type { FolderChange } from '../../../vmm/model/machine.ts';

type Kind = 'written' | 'appeared' | 'gone';

/** More names than this are told of by their folders only. */
const MOST_NAMES = 4_096;
const MOST_FOLDERS = 1_024;
/** What a guest is told at a time: its agent takes a request of 16 KiB at once, and looks at each path. */
const BATCH = { paths: 128, bytes: 12_000 };

/** Edits of one share that its guest does not know of yet, each path once. */
export class PendingEdits {
  readonly #names = new Map<string, Kind>();
  readonly #folders = new Set<string>();

  get isEmpty(): boolean {
    return this.#names.size === 0 && this.#folders.size === 0;
  }

  add({ kind, path }: FolderChange): void {
    if (kind === 'lost') {
      this.#addFolder('');
    } else if (kind === 'written' || kind === 'appeared' || kind === 'gone') {
      this.#addName(path, kind);
    }
  }

  /** The oldest, of which nothing is left here; folders last. */
  take(): Omit<ShareEdits, 'share'> {
    const batch = { written: [] as string[], appeared: [] as string[], gone: [] as string[], folders: [] as string[] };
    let [paths, bytes] = [0, 0];
    const fits = (path: string): boolean => {
      paths += 1;
      bytes += Buffer.byteLength(path) + 6;
      return paths === 1 || (paths <= BATCH.paths && bytes <= BATCH.bytes);
    };
    for (const [path, kind] of this.#names) {
      if (!fits(path)) {
        return batch;
      }
      this.#names.delete(path);
      batch[kind].push(path);
    }
    for (const path of this.#folders) {
      if (!fits(path)) {
        return batch;
      }
      this.#folders.delete(path);
      batch.folders.push(path);
    }
    return batch;
  }

  #addName(path: string, kind: Kind): void {
    const folder = parentOf(path);
    // A name that is no UTF-8 cannot be said.
    if (this.#folders.has(folder) || path.includes('\ufffd')) {
      this.#addFolder(folder);
      return;
    }
    // What is new stays so when it is written, and its place in the order is that of its last change.
    const known = this.#names.get(path);
    this.#names.delete(path);
    this.#names.set(path, kind === 'written' && known === 'appeared' ? 'appeared' : kind);
    if (this.#names.size > MOST_NAMES) {
      for (const name of this.#names.keys()) {
        this.#addFolder(parentOf(name));
      }
      this.#names.clear();
    }
  }

  #addFolder(path: string): void {
    if (!path.includes('\ufffd')) {
      this.#folders.add(this.#folders.size < MOST_FOLDERS ? path : '');
    }
  }
}

const parentOf = (path: string): string => {
  const folder = dirname(path);
  return folder === '.' ? '' : folder;
};
