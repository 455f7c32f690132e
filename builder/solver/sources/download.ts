import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Dispatcher } from 'undici';
import { HyprError, isErrno, messageOf } from '../../../base/errors.ts';
import { diskError, writeFileAtomic } from '../../../base/host/files.ts';
import { stagingName } from '../../../base/host/staging.ts';
import { readSecretLine } from '../../model/secret-line.ts';
import type { BuildRequest } from '../../model/types.ts';
import { trustedAuthorities } from '../../registry/config/certificates.ts';
import { StepFault } from '../layer/step-error.ts';
import { buildStagingFolder } from '../layer/sweep.ts';

export interface Download {
  /** The file on this host. */
  readonly file: string;
  /** sha256 of its bytes, hex. */
  readonly digest: string;
  readonly size: number;
  /** Seconds, from Last-Modified; 0 without it. */
  readonly mtime: number;
  /** Last part of the URL's path; empty when it has none. */
  readonly name: string;
}

interface Remembered {
  readonly digest: string;
  readonly size: number;
  readonly mtime: number;
  readonly etag?: string;
  readonly lastModified?: string;
}

const MAX_SIZE = 32 * 1024 ** 3;
const MAX_REDIRECTS = 10;

export const isUrl = (source: string): boolean => /^https?:\/\//i.test(source);

interface Options {
  readonly buildFolder: string;
  readonly signal: AbortSignal;
  /** Those that authenticate are HTTP_AUTH_HEADER_HOST and HTTP_AUTH_TOKEN_HOST, as in BuildKit. */
  readonly secrets: BuildRequest['secrets'];
}

/** Fetches a URL into the build folder, or only asks whether the copy there is still the newest. Throws StepFault, BUILD_FAILED. */
export const downloadUrl = async (url: string, options: Options): Promise<Download> => {
  const base = join(options.buildFolder, 'downloads', createHash('sha256').update(url).digest('hex'));
  const known = await readRemembered(base);
  const { EnvHttpProxyAgent } = await import('../../registry/transport/undici.ts');
  const trusted = trustedAuthorities(process.env);
  const tls = trusted && { ca: trusted };
  const agent = new EnvHttpProxyAgent(tls && { connect: tls, requestTls: tls, proxyTls: tls });
  try {
    const authorization = await authorizationFor(new URL(url), options.secrets);
    const response = await follow(url, { agent, known, authorization, signal: options.signal });
    if (response.statusCode === 304 && known !== undefined) {
      await response.body.dump();
      return describe(url, base, known);
    }
    if (response.statusCode !== 200) {
      await response.body.dump();
      const hint = `for a private server: --secret id=HTTP_AUTH_TOKEN_${new URL(url).hostname},env=…`;
      throw new StepFault(`${shown(url)}: the server answered with status ${response.statusCode}`, {
        ...([401, 403, 404].includes(response.statusCode) ? { hint } : {}),
      });
    }
    return describe(url, base, await store(response, base, options));
  } catch (error) {
    const known = diskError(error, base);
    if (known instanceof StepFault || known instanceof HyprError || options.signal.aborted) {
      throw known;
    }
    throw new StepFault(`${shown(url)} cannot be fetched: ${messageOf(error)}`);
  } finally {
    await agent.close();
  }
};

/** `sha256:<hex>` of ADD --checksum against what came. Throws StepFault. */
export const verifyChecksum = (checksum: string, download: Download, url: string): void => {
  const match = /^([a-z0-9]+):([0-9a-f]+)$/.exec(checksum);
  if (match === null || match[1] !== 'sha256') {
    throw new StepFault(match ? `unsupported digest algorithm in --checksum: ${match[1]}` : `invalid checksum digest format: ${checksum}`);
  }
  if (match[2]?.length !== 64) {
    throw new StepFault(`invalid checksum digest length: ${checksum}`);
  }
  if (match[2] !== download.digest) {
    throw new StepFault(`digest mismatch sha256:${download.digest}: ${checksum}`, { details: [`of ${shown(url)}`] });
  }
};

const describe = (url: string, base: string, { digest, size, mtime }: Remembered): Download => {
  const name = new URL(url).pathname.replace(/\/+$/, '').split('/').at(-1) ?? '';
  return { file: `${base}.data`, digest, size, mtime, name: decodeName(name) };
};

const decodeName = (name: string): string => {
  try {
    return decodeURIComponent(name).replaceAll('/', '_');
  } catch {
    return name;
  }
};

/** Without user name, password and query, which may be secrets. */
const shown = (url: string): string => {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
};

const follow = async (
  url: string,
  options: { agent: Dispatcher; known: Remembered | undefined; authorization: string | undefined; signal: AbortSignal },
): Promise<Dispatcher.ResponseData> => {
  const { request } = await import('../../registry/transport/undici.ts');
  const first = new URL(url);
  let target = first;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const { etag, lastModified } = options.known ?? {};
    const response = await request(target, {
      dispatcher: options.agent,
      signal: options.signal,
      headers: {
        'user-agent': 'hypr',
        ...(options.authorization !== undefined && isSameServer(first, target) ? { authorization: options.authorization } : {}),
        ...(etag ? { 'if-none-match': etag } : {}),
        ...(lastModified && !etag ? { 'if-modified-since': lastModified } : {}),
      },
    });
    const location = response.headers.location;
    if (response.statusCode < 300 || response.statusCode >= 400 || typeof location !== 'string') {
      return response;
    }
    await response.body.dump();
    target = new URL(location, target);
    if (target.protocol !== 'http:' && target.protocol !== 'https:') {
      throw new StepFault(`${shown(url)} leads to ${target.protocol}, which is not followed`);
    }
  }
  throw new StepFault(`${shown(url)}: too many redirects`);
};

/** The token wins over the header, as in BuildKit, and both over what the URL holds. Ports are not in the names of secrets. */
const authorizationFor = async (url: URL, secrets: Options['secrets']): Promise<string | undefined> => {
  const { username, password } = url;
  const hostname = url.hostname.replace(/^\[|\]$/g, '');
  const token = await readSecretLine(secrets, `HTTP_AUTH_TOKEN_${hostname}`);
  if (token !== undefined) {
    return `Bearer ${token}`;
  }
  const own = username === '' ? undefined : `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const basic = own === undefined ? undefined : `Basic ${Buffer.from(own).toString('base64')}`;
  return (await readSecretLine(secrets, `HTTP_AUTH_HEADER_${hostname}`)) ?? basic;
};

/** Credentials follow a redirect on the same server, or from http to https of the same name; nowhere else. */
const isSameServer = (first: URL, target: URL): boolean =>
  target.origin === first.origin ||
  (target.hostname === first.hostname &&
    first.protocol === 'http:' &&
    target.protocol === 'https:' &&
    first.port === '' &&
    target.port === '');

const store = async (
  response: Dispatcher.ResponseData,
  base: string,
  { buildFolder, signal }: { buildFolder: string; signal: AbortSignal },
): Promise<Remembered> => {
  const stagingFolder = buildStagingFolder(buildFolder);
  const staging = join(stagingFolder, stagingName('download'));
  const hash = createHash('sha256');
  let size = 0;
  await mkdir(join(base, '..'), { recursive: true, mode: 0o700 });
  await mkdir(stagingFolder, { recursive: true, mode: 0o700 });
  try {
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
    await pipeline(response.body, count, createWriteStream(staging, { flags: 'wx', mode: 0o600 }), { signal });
    await rename(staging, `${base}.data`);
  } finally {
    await rm(staging, { force: true });
  }
  const { etag, 'last-modified': lastModified } = response.headers;
  const remembered: Remembered = {
    digest: hash.digest('hex'),
    size,
    mtime: Math.max(0, Math.floor((Date.parse(String(lastModified)) || 0) / 1000)),
    ...(typeof etag === 'string' ? { etag } : {}),
    ...(typeof lastModified === 'string' ? { lastModified } : {}),
  };
  await writeFileAtomic(`${base}.json`, JSON.stringify(remembered), { stagingFolder });
  return remembered;
};

/** Only believed when the bytes are still those that were described. */
const readRemembered = async (base: string): Promise<Remembered | undefined> => {
  try {
    const value = JSON.parse(await readFile(`${base}.json`, 'utf8')) as Remembered;
    if ((await stat(`${base}.data`)).size !== value.size) {
      return undefined;
    }
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(`${base}.data`)) {
      hash.update(chunk);
    }
    return hash.digest('hex') === value.digest ? value : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
};
