import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { HyprError, isErrno, messageOf } from '../../base/errors.ts';
import { FileSource, readTar } from '../../base/tar/reader.ts';

/** Where the files of an archive are: a web server, or a tar with the same paths. */
export interface Mirror extends AsyncDisposable {
  /** For messages. */
  readonly place: string;
  /** False where a file that is missing stays missing. */
  readonly isRemote: boolean;
  /**
   * A file's bytes from an offset on; `begin` says where they really begin, which is 0 where the server has no ranges. Undefined if
   * there is no such file. Throws TOOLCHAIN_FAILED.
   */
  read(path: string, from: number, signal: AbortSignal): Promise<{ readonly begin: number; readonly body: Readable } | undefined>;
}

const SILENCE_MS = 60_000;

/** A mirror on the web. Proxies come from HTTP_PROXY, HTTPS_PROXY and NO_PROXY. */
export const openWebMirror = (address: string, env: NodeJS.ProcessEnv = process.env): Mirror => {
  const base = `${address.replace(/\/+$/, '')}/`;
  let agent: Dispatcher | undefined;
  const openAgent = async (): Promise<Dispatcher> => {
    const { EnvHttpProxyAgent } = await import('./undici.ts');
    // A plain proxy is asked for a plain address: many allow tunnels to port 443 only.
    return new EnvHttpProxyAgent({
      ...{ headersTimeout: SILENCE_MS, bodyTimeout: SILENCE_MS, connect: { timeout: 20_000 }, proxyTunnel: false },
      httpProxy: env.http_proxy ?? env.HTTP_PROXY ?? '',
      httpsProxy: env.https_proxy ?? env.HTTPS_PROXY ?? '',
      noProxy: env.no_proxy ?? env.NO_PROXY ?? '',
    });
  };
  return {
    place: base,
    isRemote: true,
    read: async (path, from, signal) => {
      agent ??= await openAgent();
      const { fetch } = await import('./undici.ts');
      const headers: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
      const answer = await fetch(`${base}${path}`, { dispatcher: agent, headers, signal });
      if (answer.status === 404 || answer.status === 410) {
        await answer.body?.cancel();
        return undefined;
      }
      // The part is as long as the file, or longer: from the beginning.
      const isRestart = answer.status === 416;
      if (answer.body === null || (!answer.ok && !isRestart)) {
        await answer.body?.cancel();
        throw new HyprError('TOOLCHAIN_FAILED', `${base}${path} answered ${answer.status}`);
      }
      const body = isRestart ? Readable.from([]) : Readable.fromWeb(answer.body);
      // The connection may break before anybody reads; whoever reads then is told.
      body.on('error', () => {});
      return { begin: answer.status === 206 ? from : 0, body };
    },
    [Symbol.asyncDispose]: async () => {
      await agent?.destroy();
    },
  };
};

/** A mirror in a tar file (`hypr setup --bundle`). Throws TOOLCHAIN_FAILED if it is none. */
export const openTarMirror = async (file: string): Promise<Mirror> => {
  const places = await listTar(file);
  return {
    place: file,
    isRemote: false,
    read: async (path, from) => {
      const found = places.get(path);
      if (found === undefined) {
        return undefined;
      }
      const { offset, size } = found;
      return {
        begin: from,
        body: from >= size ? Readable.from([]) : createReadStream(file, { start: offset + from, end: offset + size - 1 }),
      };
    },
    [Symbol.asyncDispose]: async () => {},
  };
};

const listTar = async (file: string): Promise<Map<string, { offset: number; size: number }>> => {
  const places = new Map<string, { offset: number; size: number }>();
  try {
    await using handle = await open(file);
    for await (const { header, offset } of readTar(new FileSource(handle, (await stat(file)).size))) {
      if (header.type === 'file') {
        places.set(header.name, { offset, size: header.size });
      }
    }
  } catch (error) {
    const why = isErrno(error, 'ENOENT') ? 'it does not exist' : messageOf(error);
    throw new HyprError('TOOLCHAIN_FAILED', `${file} is no bundle of hypr: ${why}`, {
      hint: 'hypr setup --bundle FILE makes one',
      cause: error,
    });
  }
  if (places.size === 0) {
    throw new HyprError('TOOLCHAIN_FAILED', `${file} is no bundle of hypr: nothing is in it`, {
      hint: 'hypr setup --bundle FILE makes one',
    });
  }
  return places;
};
