import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../base/host/files.ts';
import { isOddName } from '../../base/odd-names.ts';

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
  readonly stagingFolder: string;
  readonly #file: string;
  readonly #known: Map<string, string>;
  #changed = false;

  private constructor(file: string, stagingFolder: string, known: Map<string, string>) {
    this.#file = file;
    this.stagingFolder = stagingFolder;
    this.#known = known;
  }

  static async open(folder: string, root: string): Promise<HashCache> {
    const file = join(folder, 'hashes', createHash('sha256').update(root).digest('hex').slice(0, 32));
    const known = new Map<string, string>();
    for (const line of (await readText(file)).split('\n')) {
      // The path comes last, because it may contain spaces.
      const match = /^([0-9a-f]{64} \S+) (.+)$/.exec(line);
      const path = match?.[2] === undefined ? undefined : decodePath(match[2]);
      if (match?.[1] !== undefined && path !== undefined) {
        known.set(path, match[1]);
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
      const lines = Array.from(this.#known, ([path, line]) => `${line} ${encodePath(path)}`);
      await writeFileAtomic(this.#file, `${lines.join('\n')}\n`, { stagingFolder: this.stagingFolder });
    }
  }
}

export const isSameStamp = (one: FileStamp, other: FileStamp | undefined): boolean =>
  other !== undefined && one.size === other.size && one.mtime === other.mtime && one.ctime === other.ctime && one.ino === other.ino;

const formatStamp = ({ size, mtime, ctime, ino }: FileStamp): string => `${size}:${mtime}:${ctime}:${ino}`;

/** Percent-encoded; names that are not UTF-8, which that cannot encode, as JSON, which escapes single surrogates. */
const encodePath = (path: string): string => (isOddName(path) ? JSON.stringify(path).replaceAll('%', '\\u0025') : encodeURIComponent(path));

/** Undefined for a line that something else wrote. */
const decodePath = (text: string): string | undefined => {
  try {
    return text.startsWith('"') ? (JSON.parse(text) as string) : decodeURIComponent(text);
  } catch {
    return undefined;
  }
};

/** A cache that cannot be read counts as empty. */
const readText = async (file: string): Promise<string> => {
  try {
    const data = await readFile(file);
    return data.length > MAX_BYTES ? '' : data.toString('utf8');
  } catch {
    return '';
  }
};
