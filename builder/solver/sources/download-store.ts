import { createHash } from 'node:crypto';
import { constants, createReadStream, createWriteStream } from 'node:fs';
import { copyFile, link, mkdir, readFile, rename, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { isErrno } from '../../../base/errors.ts';
import { writeFileAtomic } from '../../../base/host/files.ts';
import { stagingName } from '../../../base/host/staging.ts';
import { StepFault } from '../layer/step-error.ts';
import { buildStagingFolder } from '../layer/sweep.ts';

/** What a URL's answer was. */
export interface Remembered {
  /** sha256 of the bytes, hex. */
  readonly digest: string;
  readonly size: number;
  /** Seconds. */
  readonly mtime: number;
  readonly etag?: string;
  readonly lastModified?: string;
}

const MAX_SIZE = 32 * 1024 ** 3;
const DIGEST = /^[0-9a-f]{64}$/;

/**
 * What builds have downloaded: `downloads/<sha256 of the URL>.json` says what the URL's file was, `downloads/data/<sha256 of the
 * bytes>` is the file, which never changes. Builds read it by names of their own in the staging folder, so that neither a
 * newer file of the same URL nor pruning takes it from them.
 */
export class DownloadStore {
  readonly #folder: string;
  readonly #stagingFolder: string;

  constructor(buildFolder: string) {
    this.#folder = join(buildFolder, 'downloads');
    this.#stagingFolder = buildStagingFolder(buildFolder);
  }

  /** The file of the last answer, under a name that the caller removes. Undefined when it is not there or is damaged. */
  async find(url: string): Promise<{ readonly file: string; readonly remembered: Remembered } | undefined> {
    const remembered = await readRemembered(this.#record(url));
    if (remembered === undefined) {
      return undefined;
    }
    const data = this.#data(remembered.digest);
    const file = await this.#newName();
    try {
      await linkOrCopy(data, file);
      if ((await hashFile(file)) === remembered.digest) {
        await this.#touch(url, data);
        return { file, remembered };
      }
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) {
        await rm(file, { force: true });
        throw error;
      }
    }
    await rm(file, { force: true });
    return undefined;
  }

  /** Writes a body to a new file, which the caller removes. Throws StepFault. */
  async receive(body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<{ file: string; digest: string; size: number }> {
    const file = await this.#newName();
    const hash = createHash('sha256');
    let size = 0;
    const count = async function* (data: AsyncIterable<Uint8Array>) {
      for await (const chunk of data) {
        size += chunk.length;
        if (size > MAX_SIZE) {
          throw new StepFault('the download is too large');
        }
        hash.update(chunk);
        yield chunk;
      }
    };
    try {
      await pipeline(body, count, createWriteStream(file, { flags: 'wx', mode: 0o600 }), { signal });
    } catch (error) {
      await rm(file, { force: true });
      throw error;
    }
    return { file, digest: hash.digest('hex'), size };
  }

  /** Keeps a received file for later builds; it stays the caller's, too. */
  async keep(url: string, file: string, remembered: Remembered): Promise<void> {
    const data = this.#data(remembered.digest);
    const staging = await this.#newName();
    await mkdir(join(this.#folder, 'data'), { recursive: true, mode: 0o700 });
    try {
      await linkOrCopy(file, staging);
      // Also over a file of that name, which may be damaged.
      await rename(staging, data);
    } finally {
      await rm(staging, { force: true });
    }
    await writeFileAtomic(this.#record(url), JSON.stringify(remembered), { stagingFolder: this.#stagingFolder });
  }

  /** Pruning goes by the time of the last use. */
  async #touch(url: string, data: string): Promise<void> {
    const now = new Date();
    await Promise.all([this.#record(url), data].map((path) => utimes(path, now, now).catch(() => {})));
  }

  async #newName(): Promise<string> {
    await mkdir(this.#stagingFolder, { recursive: true, mode: 0o700 });
    return join(this.#stagingFolder, stagingName('download'));
  }

  #data(digest: string): string {
    return join(this.#folder, 'data', digest);
  }

  #record(url: string): string {
    return join(this.#folder, `${createHash('sha256').update(url).digest('hex')}.json`);
  }
}

/** Records of earlier versions, whose data lay elsewhere, lead nowhere: the URL is fetched again. */
const readRemembered = async (path: string): Promise<Remembered | undefined> => {
  try {
    const value = JSON.parse(await readFile(path, 'utf8')) as Remembered;
    return DIGEST.test(value.digest) ? value : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
};

/** A copy where the file system has no hard links, or no more of them. */
const linkOrCopy = async (from: string, to: string): Promise<void> => {
  try {
    await link(from, to);
  } catch (error) {
    if (!isErrno(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'EXDEV')) {
      throw error;
    }
    await copyFile(from, to, constants.COPYFILE_FICLONE);
  }
};

const hashFile = async (path: string): Promise<string> => {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) {
    hash.update(chunk);
  }
  return hash.digest('hex');
};
