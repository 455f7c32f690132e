import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { isErrno } from '../../base/errors.ts';
import { writeFileAtomic } from '../../base/host/files.ts';

/** Request headers that ask an origin whether a cached answer is still valid (RFC 9110, section 13). */
export type Validators = Readonly<Record<string, string>>;

export interface CachedDownload {
  readonly headers: Record<string, string | string[]>;
  readonly validators: Validators;
  read(): Readable;
}

interface Meta {
  readonly url: string;
  readonly body: string;
  readonly size: number;
  readonly headers: Record<string, string | string[]>;
}

/** Caches answers of plain HTTP by URL. Only answers that can be revalidated at their origin are kept. */
export class DownloadCache {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async find(url: string): Promise<CachedDownload | undefined> {
    try {
      const meta = JSON.parse(await readFile(this.#meta(url), 'utf8')) as Meta;
      const body = join(this.#folder, meta.body);
      const validators = validatorsOf(meta.headers);
      const isWhole = meta.url === url && /^[0-9a-f-]+\.body$/.test(meta.body) && (await stat(body)).size === meta.size;
      return isWhole && validators !== undefined ? { headers: meta.headers, validators, read: () => createReadStream(body) } : undefined;
    } catch (error) {
      if (isErrno(error, 'ENOENT') || error instanceof SyntaxError) {
        return undefined;
      }
      throw error;
    }
  }

  /** Starts storing a body; undefined when it cannot be revalidated later, or must not be cached. */
  async begin(url: string, headers: Record<string, string | string[]>): Promise<DownloadWriter | undefined> {
    if (validatorsOf(headers) === undefined || /no-store|private/i.test(String(headers['cache-control'] ?? '')) || headers.vary === '*') {
      return undefined;
    }
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const body = `${name(url)}-${randomBytes(6).toString('hex')}.body`;
    const staged = join(this.#folder, `.${body}`);
    const file = await open(staged, 'wx', 0o600);
    const expected = Number(headers['content-length'] ?? Number.NaN);
    const state = { size: 0, done: false };
    return {
      write: async (chunk) => {
        state.size += chunk.length;
        await file.write(chunk);
      },
      commit: async () => {
        await file.close();
        state.done = true;
        if (Number.isNaN(expected) || expected === state.size) {
          await rename(staged, join(this.#folder, body));
          await writeFileAtomic(this.#meta(url), JSON.stringify({ url, body, size: state.size, headers } satisfies Meta));
        } else {
          await rm(staged, { force: true });
        }
      },
      discard: async () => {
        if (!state.done) {
          await file.close();
          await rm(staged, { force: true });
        }
      },
    };
  }

  #meta(url: string): string {
    return join(this.#folder, `${name(url)}.json`);
  }
}

export interface DownloadWriter {
  write(chunk: Uint8Array): Promise<void>;
  /** Keeps the body, which is complete. */
  commit(): Promise<void>;
  /** Discards a body that was not committed. */
  discard(): Promise<void>;
}

const name = (url: string): string => createHash('sha256').update(url).digest('hex').slice(0, 40);

const validatorsOf = (headers: Readonly<Record<string, string | string[]>>): Validators | undefined => {
  const { etag, 'last-modified': modified } = headers;
  if (typeof etag === 'string') {
    return { 'if-none-match': etag };
  }
  return typeof modified === 'string' ? { 'if-modified-since': modified } : undefined;
};
