import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import { writeFileAtomic } from '../../base/host/files.ts';

export interface FileStamp {
  readonly size: number;
  /** Nanoseconds. */
  readonly mtime: bigint;
  readonly ctime: bigint;
  readonly ino: bigint;
}

const MAX_BYTES = 256 * 1024 * 1024;
/** A file that changed this recently may change again within the resolution of its timestamps, so its hash is not cached. */
const SETTLE_NS = 2_000_000_000n;

/**
 * Content hashes of one folder's files, by path, size, mtime, ctime and inode, so that unchanged files are not read
 * again. One cache file per folder; of two processes, the last one to write wins.
 */
export class HashCache {
  readonly #file: string;
  readonly #stagingFolder: string;
  readonly #known: Map<string, string>;
  #changed = false;

  private constructor(file: string, stagingFolder: string, known: Map<string, string>) {
    this.#file = file;
    this.#stagingFolder = stagingFolder;
    this.#known = known;
  }

  static async open(folder: string, root: string): Promise<HashCache> {
    const file = join(folder, 'hashes', createHash('sha256').update(root).digest('hex').slice(0, 32));
    const known = new Map<string, string>();
    for (const line of (await readText(file)).split('\n')) {
      // The path comes last, because it may contain spaces.
      const match = /^([0-9a-f]{64} \S+) (.+)$/.exec(line);
      if (match?.[1] !== undefined && match[2] !== undefined) {
        known.set(decodeURIComponent(match[2]), match[1]);
      }
    }
    return new HashCache(file, join(folder, 'tmp'), known);
  }

  get(path: string, stamp: FileStamp): string | undefined {
    const line = this.#known.get(path);
    return line?.slice(65) === formatStamp(stamp) ? line.slice(0, 64) : undefined;
  }

  set(path: string, stamp: FileStamp, hash: string): void {
    if (BigInt(Date.now()) * 1_000_000n - stamp.ctime > SETTLE_NS) {
      this.#known.set(path, `${hash} ${formatStamp(stamp)}`);
      this.#changed = true;
    }
  }

  async save(): Promise<void> {
    if (this.#changed) {
      this.#changed = false;
      const lines = Array.from(this.#known, ([path, line]) => `${line} ${encodeURIComponent(path)}`);
      await writeFileAtomic(this.#file, `${lines.join('\n')}\n`, { stagingFolder: this.#stagingFolder });
    }
  }
}

const formatStamp = ({ size, mtime, ctime, ino }: FileStamp): string => `${size}:${mtime}:${ctime}:${ino}`;

/** A cache that cannot be read counts as empty. */
const readText = async (file: string): Promise<string> => {
  try {
    const data = await readFile(file);
    return data.length > MAX_BYTES ? '' : data.toString('utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return '';
    }
    throw error;
  }
};
