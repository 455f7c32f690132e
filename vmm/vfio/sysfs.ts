import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Access } from './card.ts';

/** Where the kernel tells of its hardware; tests have a tree of their own. */
export interface CardRoots {
  readonly sys: string;
  readonly dev: string;
  readonly proc: string;
  readonly isRoot?: boolean;
  /** What opening a file says: alone, which a disk in use refuses, or as it is. */
  readonly tryOpen?: (path: string, how: 'alone' | 'plain') => Promise<Access>;
}

/** What is gone meanwhile, or may not be seen, is not there. */
export const list = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

export const text = (path: string): Promise<string | undefined> =>
  readFile(path, 'utf8').then(
    (content) => content.trim(),
    () => undefined,
  );

export const linkName = (path: string): Promise<string | undefined> =>
  readlink(path).then(
    (target) => basename(target),
    () => undefined,
  );
