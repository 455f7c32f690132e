import { createHash, randomBytes } from 'node:crypto';
import { appendFile, chmod, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import { listFolder, syncFolder, writeFileAtomic } from '../../base/host/files.ts';
import type { HomePaths } from '../../base/paths.ts';
import type { Template, TemplateForm } from './types.ts';

/** Raised when templates of older versions of hypr can no longer be used. */
export const FORMAT = 2;

/** `template.json`: size, time and hash of the files beside it when they were saved. */
export interface Description {
  readonly format: number;
  readonly toolchain: string;
  readonly form: TemplateForm;
  /** For a rooted one: the disk that its guest has mounted. */
  readonly root?: string;
  readonly files: readonly FileFacts[];
}

interface FileFacts {
  readonly name: string;
  readonly size: number;
  readonly modified: number;
  /** Only for files smaller than HASHED_BYTES. */
  readonly hash?: string;
}

/** A state without memory has some hundred kilobytes. */
const HASHED_BYTES = 8 << 20;

export const templatesFolder = (paths: HomePaths): string => join(paths.cache, 'templates');

/** Held by who makes the template. */
export const lockPath = (paths: HomePaths, key: string): string => join(paths.locks, `template-${key}.lock`);

const FILES: Readonly<Record<TemplateForm, readonly string[]>> = {
  whole: ['state'],
  mapped: ['state', 'ram'],
  'mapped-rooted': ['state', 'ram', 'upper'],
  'whole-rooted': ['state', 'upper'],
};

/** The files of a template. */
export const templateAt = (folder: string, key: string, form: TemplateForm): Template => {
  const place = (name: string) => (FILES[form].includes(name) ? join(folder, name) : undefined);
  return { key, state: join(folder, 'state'), ram: place('ram'), upper: place('upper') };
};

/**
 * The template with a key; undefined if there is none, `broken` if its files have changed since they were saved.
 * A small state, which QEMU parses, is hashed at each use (a millisecond). Memory is not, because reading all of it would
 * take longer than cloning it. Its size and ctime show any write; it is read-only for everybody.
 */
export const readTemplate = async (root: string, key: string): Promise<Template | 'broken' | undefined> => {
  const folder = join(root, key);
  try {
    const known = JSON.parse(await readFile(join(folder, 'template.json'), 'utf8')) as Partial<Description> | null;
    if (known?.format !== FORMAT || known.form === undefined || FILES[known.form] === undefined) {
      return 'broken';
    }
    const facts = await describeFiles(folder, FILES[known.form]);
    return JSON.stringify(facts) === JSON.stringify(known.files) ? templateAt(folder, key, known.form) : 'broken';
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR') || error instanceof SyntaxError) {
      return (await hasEntry(root, key)) ? 'broken' : undefined;
    }
    throw error;
  }
};

const describeFiles = (folder: string, names: readonly string[]): Promise<FileFacts[]> =>
  Promise.all(
    names.map(async (name) => {
      const path = join(folder, name);
      const { size, mtimeMs: modified } = await stat(path);
      const isSmall = name === 'state' && size < HASHED_BYTES;
      return {
        name,
        size,
        modified,
        ...(isSmall
          ? {
              hash: createHash('sha256')
                .update(await readFile(path))
                .digest('hex'),
            }
          : {}),
      };
    }),
  );

const hasEntry = async (root: string, key: string): Promise<boolean> => (await listFolder(root)).includes(key);

/** Makes the files of a finished template durable and read-only and records their sizes, times and hashes. */
export const sealTemplate = async (
  folder: string,
  facts: { readonly form: TemplateForm; readonly toolchain: string; readonly root?: string },
): Promise<void> => {
  for (const name of FILES[facts.form]) {
    const path = join(folder, name);
    const file = await open(path, 'r+');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
    await chmod(path, 0o400);
  }
  const files = await describeFiles(folder, FILES[facts.form]);
  const description: Description = { format: FORMAT, ...facts, files };
  await writeFileAtomic(join(folder, 'template.json'), JSON.stringify(description), 0o400);
};

/** Renames a sealed template to its final name, and removes an older one. */
export const publishTemplate = async (root: string, staging: string, key: string, form: TemplateForm): Promise<Template> => {
  await discardTemplate(root, key);
  await rename(staging, join(root, key));
  await syncFolder(root);
  return templateAt(join(root, key), key, form);
};

/** Running clones are not affected: the kernel keeps a file that is mapped. */
export const discardTemplate = async (root: string, key: string, { keepFailures = false } = {}): Promise<void> => {
  const gone = join(root, `${key}.${randomBytes(4).toString('hex')}.gone`);
  try {
    await rename(join(root, key), gone);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) {
      throw error;
    }
  }
  const paths = keepFailures ? [gone] : [gone, failuresPath(root, key)];
  await Promise.all(paths.map((path) => rm(path, { recursive: true, force: true })));
};

/** Records a failure of a template and returns the number of failures. */
export const noteFailure = async (root: string, key: string): Promise<number> => {
  await appendFile(failuresPath(root, key), '.', { mode: 0o600 });
  return await countFailures(root, key);
};

export const countFailures = async (root: string, key: string): Promise<number> => {
  try {
    return (await stat(failuresPath(root, key))).size;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return 0;
    }
    throw error;
  }
};

const failuresPath = (root: string, key: string): string => join(root, `${key}.failures`);

/** Marks a template as used now, so that it is pruned last; errors (it was just removed, the disk is full) do not matter. */
export const touchTemplate = async (root: string, key: string): Promise<void> => {
  const now = new Date();
  await utimes(join(root, key, 'template.json'), now, now).catch(() => {});
};

/** Whether the guest of a template has a root mounted. */
export const isRooted = async (root: string, key: string): Promise<boolean> => (await readDescription(join(root, key)))?.root !== undefined;

/** A template's record, and when it was last used (milliseconds). */
export const readDescription = async (folder: string): Promise<(Partial<Description> & { readonly usedAt: number }) | undefined> => {
  const path = join(folder, 'template.json');
  try {
    const known = JSON.parse(await readFile(path, 'utf8')) as Partial<Description> | null;
    return { ...known, usedAt: (await stat(path)).mtimeMs };
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR') || error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
};
