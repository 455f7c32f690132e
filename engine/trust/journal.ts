import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import { exists, readTextIfThere, writeFileAtomic } from '../../base/host/files.ts';
import { shortHash } from '../../base/paths.ts';

/** Files of one folder before and after a change. */
export interface FolderChange {
  readonly folder: string;
  readonly nickname: string;
  /** Folders that were made for it, outermost first. */
  readonly made: readonly string[];
  /** Name → the digest it had, and its mode; null: it was not there. A copy of each is in the journal's folder. */
  readonly before: Readonly<Record<string, { readonly digest: string; readonly mode: number } | null>>;
  /** Name → digest once the change was made; absent where that was interrupted. */
  readonly after?: Readonly<Record<string, string | null>>;
}

export interface Journal {
  readonly stores: readonly FolderChange[];
}

/**
 * What `setup --browser` did, kept in a folder of its own so that undo restores every file as it was. It is written before each
 * change and after it; without it undo still removes what is hypr's, by name.
 */
export class JournalFile {
  readonly #folder: string;
  #journal: Journal;

  private constructor(folder: string, journal: Journal) {
    this.#folder = folder;
    this.#journal = journal;
  }

  static async open(folder: string): Promise<JournalFile> {
    return new JournalFile(folder, parseJournal((await readTextIfThere(join(folder, FILE))) ?? ''));
  }

  get journal(): Journal {
    return this.#journal;
  }

  async #write(journal: Journal): Promise<void> {
    this.#journal = journal;
    await writeFileAtomic(join(this.#folder, FILE), `${JSON.stringify(journal, null, 2)}\n`);
  }

  /** Runs `change`, which adds `nickname` to the store in `folder`, whose files are `names`. Makes the folder where there is none. */
  async record(folder: string, nickname: string, names: readonly string[], change: () => Promise<void>): Promise<void> {
    const known = this.#journal.stores.find((one) => one.folder === folder);
    const entry: FolderChange = known ?? { folder, nickname, made: await missingFolders(folder), before: await this.#keep(folder, names) };
    const others = this.#journal.stores.filter((one) => one !== known);
    const { after: last, ...rest } = entry;
    // What somebody else changed since is not in the copies: `after` stays, which no longer fits, so that undo goes by name.
    const isForeign = known !== undefined && !isSame(await digests(folder, Object.keys(known.before)), last ?? digestsBefore(known));
    await this.#write({ ...this.#journal, stores: [...others, rest] });
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await change();
    const after = isForeign ? last : await digests(folder, names);
    await this.#write({ ...this.#journal, stores: [...others, { ...rest, nickname, ...(after === undefined ? {} : { after }) }] });
  }

  /** Restores the files of a store as they were. Returns false and touches nothing where somebody else has changed them since. */
  async restore(change: FolderChange): Promise<boolean> {
    const names = Object.keys(change.before);
    if (change.after === undefined || !isSame(await digests(change.folder, names), change.after)) {
      return false;
    }
    const copies = await Promise.all(names.map((name) => change.before[name] === null || exists(this.#copy(change.folder, name))));
    if (copies.includes(false)) {
      return false;
    }
    for (const name of names) {
      const was = change.before[name];
      const path = join(change.folder, name);
      if (was === null || was === undefined) {
        await rm(path, { force: true });
      } else {
        const staging = `${path}.hypr-undo`;
        await copyFile(this.#copy(change.folder, name), staging);
        await chmod(staging, was.mode);
        await rename(staging, path);
      }
    }
    await removeFolders(change.made);
    return true;
  }

  /** Forgets everything, copies included. */
  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #keep(folder: string, names: readonly string[]): Promise<FolderChange['before']> {
    const entries = names.map(async (name) => {
      const path = join(folder, name);
      if (!(await exists(path))) {
        return [name, null] as const;
      }
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await copyFile(path, this.#copy(folder, name));
      await chmod(this.#copy(folder, name), 0o600);
      return [name, { digest: (await digest(path)) ?? '', mode: (await stat(path)).mode & 0o7777 }] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  }

  #copy(folder: string, name: string): string {
    return join(this.#folder, `${shortHash(folder, 12)}-${name}`);
  }
}

const FILE = 'journal.json';

/** A damaged journal counts as none. */
const parseJournal = (text: string): Journal => {
  try {
    const value = JSON.parse(text) as Partial<Journal> | null;
    return { stores: Array.isArray(value?.stores) ? value.stores : [] };
  } catch {
    return { stores: [] };
  }
};

const missingFolders = async (folder: string): Promise<string[]> =>
  (await exists(folder)) ? [] : [...(await missingFolders(dirname(folder))), folder];

/** Innermost first; a folder with something in it stays. */
const removeFolders = async (folders: readonly string[]): Promise<void> => {
  for (const folder of [...folders].reverse()) {
    await rmdir(folder).catch((error: unknown) => {
      if (!isErrno(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT')) {
        throw error;
      }
    });
  }
};

type Digests = NonNullable<FolderChange['after']>;

const isSame = (some: Digests, others: Digests): boolean => JSON.stringify(some) === JSON.stringify(others);

const digestsBefore = ({ before }: FolderChange): Digests =>
  Object.fromEntries(Object.entries(before).map(([name, was]) => [name, was?.digest ?? null]));

const digests = async (folder: string, names: readonly string[]): Promise<Record<string, string | null>> =>
  Object.fromEntries(await Promise.all(names.map(async (name) => [name, await digest(join(folder, name))] as const)));

const digest = async (path: string): Promise<string | null> => {
  try {
    return createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      return null;
    }
    throw error;
  }
};
