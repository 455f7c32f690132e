import { posix } from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { TarHeader } from '../../../base/tar/header.ts';
import { readTar, StreamSource } from '../../../base/tar/reader.ts';
import { absoluteNames, exportNames } from '../../../base/tar/rename.ts';
import { refusalReason } from '../../../guest/protocol/refusal.ts';
import type { ReplicaDetail, Stack } from '../../model/types.ts';
import { ApiError } from '../http/errors.ts';
import type { Call, Routes } from '../http/router.ts';
import type { Sink } from '../http/sink.ts';
import type { Host } from '../machines/host.ts';
import { throughItsEnd } from '../machines/through-end.ts';
import { stateWord } from '../shapes/status.ts';

/** Files of containers, as tar archives. */
export const archiveRoutes = (host: Host): Routes => ({
  'HEAD /containers/{id}/archive': async (call) => {
    const stat = await statPath(host, call);
    call.reply.empty(200, { [STAT]: stat });
  },
  'GET /containers/{id}/archive': (call) => sendArchive(host, call),
  'PUT /containers/{id}/archive': (call) => takeArchive(host, call),
  'GET /containers/{id}/export': async ({ params, reply, signal }) => {
    const detail = needMachine(host, params.id ?? '');
    let sink: Sink | undefined;
    const work = (now: ReplicaDetail): Promise<void> =>
      host.withStack(now.stack, async (stack) => {
        for await (const part of exportNames(stack.copyFrom({ ...placeOf(now), path: '/' }, signal))) {
          sink ??= reply.stream('application/octet-stream');
          await sink.write(part);
        }
      });
    await throughItsEnd({ host, detail, signal, work, canRepeat: () => sink === undefined });
    (sink ?? reply.stream('application/octet-stream')).end();
  },
});

const STAT = 'X-Docker-Container-Path-Stat';

const pathOf = ({ query }: Call): string => {
  const path = query.text('path');
  if (path === undefined) {
    throw new ApiError(400, 'path is missing');
  }
  const clean = posix.join('/', path);
  return isContents(path) ? posix.join(clean, '/').concat('.') : clean;
};

/** A final dot asks for what is in a folder, without its name. */
const isContents = (path: string): boolean => /(^|\/)\.$/.test(path) || path === './' || path === '/./';

/** What is at a path, with docker's names: from the path's last part on, `./` after a final dot, `/` for the root. */
const copyOf = (stack: Stack, detail: ReplicaDetail, path: string, signal: AbortSignal): AsyncIterable<Uint8Array> => {
  // After a final slash a link is what it leads to, under its own name.
  const followLinks = path.endsWith('/') && path !== '/';
  const tar = stack.copyFrom({ ...placeOf(detail), path, followLinks }, signal);
  return path === '/' ? absoluteNames(tar) : tar;
};

const placeOf = ({ status }: Pick<ReplicaDetail, 'status'>) => ({ service: status.service, index: status.number });

/** Those that do not run have a machine made for it. Throws 409 for one that is paused. */
const needMachine = (host: Host, reference: string): ReplicaDetail => {
  const detail = host.find(reference);
  if (stateWord(detail.status) === 'paused') {
    throw new ApiError(409, `container ${reference} is paused: its machine does not answer; unpause it first`);
  }
  return detail;
};

/** What a path is, as base64 of JSON. Throws 404. */
const statPath = (host: Host, call: Call): Promise<string> => readPath(host, call, async (stat) => stat);

/** `work` on a path of a container: what it is, and it as a tar, which is read once. Throws 404. */
const readPath = async <T>(host: Host, call: Call, work: (stat: string, tar: AsyncIterable<Uint8Array>) => Promise<T>): Promise<T> => {
  const detail = needMachine(host, call.params.id ?? '');
  const path = pathOf(call);
  let isRead = false;
  const workOn = (now: ReplicaDetail): Promise<T> =>
    host.withStack(now.stack, async (stack) => {
      const parts = copyOf(stack, now, path, call.signal)[Symbol.asyncIterator]();
      try {
        const begin: Uint8Array[] = [];
        const header = await firstHeader(parts, begin);
        isRead = true;
        const stat = { name: posix.basename(path) || '/', ...statOf(header) };
        return await work(Buffer.from(JSON.stringify(stat)).toString('base64'), wholeOf(begin, parts));
      } finally {
        await parts.return?.();
      }
    });
  try {
    return await throughItsEnd({ host, detail, signal: call.signal, work: workOn, canRepeat: () => !isRead });
  } catch (error) {
    throw refusalReason(error) === 'notFound'
      ? new ApiError(404, `Could not find the file ${path} in container ${detail.status.name}`)
      : error;
  }
};

/** Puts what it has read into `read`. */
const firstHeader = async (parts: AsyncIterator<Uint8Array>, read: Uint8Array[]): Promise<TarHeader | undefined> => {
  const source = new StreamSource(remembered(parts, read));
  for await (const { header } of readTar(source)) {
    return header;
  }
  return undefined;
};

/** Puts what is read into `read`, so that `wholeOf` gives all of it again. */
async function* remembered(parts: AsyncIterator<Uint8Array>, read: Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (let next = await parts.next(); !next.done; next = await parts.next()) {
    read.push(next.value);
    yield next.value;
  }
}

async function* wholeOf(begin: readonly Uint8Array[], parts: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* begin;
  for (let next = await parts.next(); !next.done; next = await parts.next()) {
    yield next.value;
  }
}

/** Modes are Go's os.FileMode: a folder is bit 31, a link bit 27. */
const statOf = (header: TarHeader | undefined): { size: number; mode: number; mtime: string; linkTarget: string } => {
  const kind = { dir: 2 ** 31, symlink: 2 ** 27 }[header?.type as string] ?? (header === undefined ? 2 ** 31 : 0);
  return {
    size: header?.size ?? 0,
    mode: kind + ((header?.mode ?? 0o755) & 0o777),
    mtime: new Date((header?.mtime ?? 0) * 1000).toISOString(),
    linkTarget: header?.link ?? '',
  };
};

const sendArchive = (host: Host, call: Call): Promise<void> =>
  readPath(host, call, async (stat, tar) => {
    const sink = call.reply.stream('application/x-tar', { [STAT]: stat });
    for await (const part of tar) {
      await sink.write(part);
    }
    sink.end();
  });

/** Into a folder that is there; into a container that does not run by a machine with its disks. */
const takeArchive = async (host: Host, call: Call): Promise<void> => {
  const path = pathOf(call);
  const tar = await unpacked(call.body.bytes);
  const { stack: name, status } = needMachine(host, call.params.id ?? '');
  await host.withStack(name, (stack) => stack.copyTo({ ...placeOf({ status }), path }, tar, call.signal));
  call.reply.empty(200);
};

/** Archives may be compressed by gzip, whose first bytes say so. */
const unpacked = async (bytes: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> => {
  const parts = bytes[Symbol.asyncIterator]();
  const first = await parts.next();
  const whole = (async function* () {
    for (let next = first; !next.done; next = await parts.next()) {
      yield next.value;
    }
  })();
  const isGzip = !first.done && first.value[0] === 0x1f && first.value[1] === 0x8b;
  // A pipeline hands an error of its source, such as a client that leaves, to whoever reads.
  return isGzip ? pipeline(Readable.from(whole), createGunzip(), () => {}) : whole;
};
