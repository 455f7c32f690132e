import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { isErrno, messageOf } from '../../base/errors.ts';
import { listFolder, writeFileAtomic } from '../../base/host/files.ts';
import { sweepLocks, withLock } from '../../base/host/lock.ts';
import { isAlive } from '../../base/host/process.ts';
import { stagingName, stagingOwner } from '../../base/host/staging.ts';
import { logger } from '../../base/log.ts';

const log = logger('net');

/** Request headers that ask an origin whether a cached answer is still valid (RFC 9110, section 13). */
export type Validators = Readonly<Record<string, string>>;

export interface CachedDownload {
  readonly headers: Record<string, string | string[]>;
  readonly validators: Validators;
  /** Call it once, or `close`. */
  read(): Readable;
  close(): Promise<void>;
}

interface Meta {
  readonly url: string;
  readonly body: string;
  readonly size: number;
  readonly headers: Record<string, string | string[]>;
}

const DAY_MS = 86_400_000;
const LOCK_MS = 30_000;

/**
 * Caches answers of plain HTTP by URL. Only answers that can be revalidated at their origin, and that suit every client, are kept:
 * none that is encoded, or that depends on other headers of the request.
 */
export class DownloadCache {
  readonly #folder: string;
  #swept: Promise<void> | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async find(url: string): Promise<CachedDownload | undefined> {
    const meta = await readMeta(this.#meta(url));
    const validators = meta && validatorsOf(meta.headers);
    if (meta?.url !== url || validators === undefined || !suitsAll(meta.headers) || !BODY.test(meta.body)) {
      return undefined;
    }
    try {
      // Open from now on: a newer answer may take its place while the origin is asked.
      const file = await open(join(this.#folder, meta.body), 'r');
      if ((await file.stat()).size === meta.size) {
        return { headers: meta.headers, validators, read: () => file.createReadStream(), close: () => file.close() };
      }
      await file.close();
      return undefined;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) {
        return undefined;
      }
      throw error;
    }
  }

  /** Starts storing a body; undefined when it must not be kept. What fails later only means that it is not kept. */
  async begin(url: string, headers: Record<string, string | string[]>): Promise<DownloadWriter | undefined> {
    const isForbidden = /no-store|private/i.test(String(headers['cache-control'] ?? ''));
    if (validatorsOf(headers) === undefined || isForbidden || !suitsAll(headers)) {
      return undefined;
    }
    this.#swept ??= this.#sweep();
    await this.#swept;
    const staged = join(this.#staging, stagingName('body'));
    const file = await open(staged, 'wx', 0o600);
    const expected = Number(headers['content-length'] ?? Number.NaN);
    let size = 0;
    let failed = false;
    let closed = false;
    const end = async (): Promise<void> => {
      if (!closed) {
        closed = true;
        await file.close();
      }
    };
    const orFail = async (work: () => Promise<unknown>): Promise<void> => {
      try {
        await (failed ? undefined : work());
      } catch (error) {
        failed = true;
        log.debug('a download is not kept', { reason: messageOf(error) });
      }
    };
    return {
      write: (chunk) => {
        size += chunk.length;
        return orFail(() => file.writeFile(chunk));
      },
      commit: () =>
        orFail(async () => {
          await end();
          if (Number.isNaN(expected) || expected === size) {
            await this.#keep(url, staged, { size, headers });
          }
        }),
      discard: async () => {
        await end().catch(() => {});
        await rm(staged, { force: true });
      },
    };
  }

  /** Takes the place of what was kept of the URL. */
  async #keep(url: string, staged: string, { size, headers }: Pick<Meta, 'size' | 'headers'>): Promise<void> {
    const body = `${name(url)}-${randomBytes(6).toString('hex')}.body`;
    await withLock(join(this.#staging, `${name(url)}.lock`), { what: 'a download', timeout: LOCK_MS }, async () => {
      const before = await readMeta(this.#meta(url));
      await rename(staged, join(this.#folder, body));
      const meta: Meta = { url, body, size, headers };
      await writeFileAtomic(this.#meta(url), JSON.stringify(meta), { stagingFolder: this.#staging });
      if (before !== undefined && BODY.test(before.body)) {
        await rm(join(this.#folder, before.body), { force: true });
      }
    });
  }

  /** Removes what killed builds were fetching; earlier versions did so beside what is kept, under hidden names. */
  async #sweep(): Promise<void> {
    await mkdir(this.#staging, { recursive: true, mode: 0o700 });
    for (const entry of await listFolder(this.#staging)) {
      const owner = stagingOwner(entry);
      if (owner !== undefined && !isAlive(owner)) {
        await rm(join(this.#staging, entry), { force: true });
      }
    }
    await sweepLocks(this.#staging);
    for (const entry of (await listFolder(this.#folder)).filter((each) => /^\.[0-9a-f-]+\.body$/.test(each))) {
      const path = join(this.#folder, entry);
      const info = await stat(path).catch(() => undefined);
      if (info !== undefined && Date.now() - info.mtimeMs > DAY_MS) {
        await rm(path, { force: true });
      }
    }
  }

  get #staging(): string {
    return join(this.#folder, 'tmp');
  }

  #meta(url: string): string {
    return join(this.#folder, `${name(url)}.json`);
  }
}

export interface DownloadWriter {
  write(chunk: Uint8Array): Promise<void>;
  /** Keeps the body if it is complete. */
  commit(): Promise<void>;
  /** Call it at the end, whether the body was committed or not. */
  discard(): Promise<void>;
}

const BODY = /^[0-9a-f-]+\.body$/;

const readMeta = async (path: string): Promise<Meta | undefined> => {
  try {
    const meta = JSON.parse(await readFile(path, 'utf8')) as Meta;
    return typeof meta.body === 'string' && typeof meta.headers === 'object' && meta.headers !== null ? meta : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
};

/** Whether an answer to one client is one for all: one that is not encoded is understood by each. */
const suitsAll = (headers: Meta['headers']): boolean => {
  const encoding = String(headers['content-encoding'] ?? 'identity').toLowerCase();
  const varies = String(headers.vary ?? '')
    .toLowerCase()
    .split(',');
  return (
    encoding === 'identity' && headers['set-cookie'] === undefined && varies.every((each) => ['', 'accept-encoding'].includes(each.trim()))
  );
};

const name = (url: string): string => createHash('sha256').update(url).digest('hex').slice(0, 40);

const validatorsOf = (headers: Readonly<Record<string, string | string[]>>): Validators | undefined => {
  const { etag, 'last-modified': modified } = headers;
  if (typeof etag === 'string') {
    return { 'if-none-match': etag };
  }
  return typeof modified === 'string' ? { 'if-modified-since': modified } : undefined;
};
