import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { isatty, ReadStream } from 'node:tty';
import { onAbort } from '../abort.ts';
import { type ErrorCode, HyprError, isErrno } from '../errors.ts';

export interface NamedFile {
  /** How messages call it: `env file`, `Dockerfile`. */
  readonly what: string;
  /** A larger one is not read to its end. */
  readonly maxBytes: number;
  /** Default HYPR_FILE. */
  readonly limitCode?: ErrorCode;
  /** Allows `<(…)`, /dev/stdin and FIFOs: they are usual on a command line, but would be a trap in a file. */
  readonly pipes?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a whole file whose name comes from the user: never more than `maxBytes`, no devices (except /dev/null, which is empty),
 * and without waiting for a writer that may never come, unless `pipes` allows it; then `signal` ends the wait. Links are followed.
 * Throws HYPR_FILE, HYPR_CANCELLED, and what open and read throw (ENOENT, EISDIR, EACCES …).
 */
export const readNamedFile = async (path: string, named: NamedFile): Promise<Buffer> => {
  named.signal?.throwIfAborted();
  const fd = openNamed(path, named);
  let taken = false;
  try {
    const info = fstatSync(fd);
    if (info.isDirectory()) {
      throw Object.assign(new Error(`EISDIR: ${path} is a directory`), { code: 'EISDIR', syscall: 'read', path });
    }
    if (info.isFile()) {
      return await readRegular(fd, path, named, info);
    }
    if (isNull(info)) {
      return Buffer.alloc(0);
    }
    if (named.pipes !== true || !(info.isFIFO() || isatty(fd))) {
      throw notAFile(path, named, kindOf(info));
    }
    taken = true;
    return await readPipe(isatty(fd) ? new ReadStream(fd) : new Socket({ fd, readable: true, writable: false }), path, named);
  } finally {
    if (!taken) {
      closeSync(fd);
    }
  }
};

/** Paths of descriptors that a process was started with: `<(…)` of a shell, and its standard input. */
export const isOwnDescriptor = (path: string): boolean => /^(\/dev\/stdin|\/dev\/fd\/\d+|\/proc\/self\/fd\/\d+)$/.test(path);

/** Non-blocking: opening a FIFO would otherwise wait for its writer, in a thread that cannot be interrupted. */
const openNamed = (path: string, named: NamedFile): number => {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    throw isErrno(error, 'ENXIO', 'ENODEV') ? notAFile(path, named, 'a socket or a device') : error;
  }
};

const CHUNK = 256 * 1024;

/** Synchronous, because there are usually only a few small files; in chunks, so that reading a large one can be cancelled. */
const readRegular = async (fd: number, path: string, named: NamedFile, info: Stats): Promise<Buffer> => {
  if (info.size > named.maxBytes) {
    throw tooLarge(path, named);
  }
  const parts: Buffer[] = [];
  let size = 0;
  for (;;) {
    // Files of /proc and /sys have no size, and may have no end.
    const part = Buffer.allocUnsafe(parts.length === 0 && info.size > 0 && info.size < CHUNK ? info.size + 1 : CHUNK);
    const count = readSome(fd, part, path, named);
    if (count === 0) {
      return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
    }
    size += count;
    if (size > named.maxBytes) {
      throw tooLarge(path, named);
    }
    parts.push(part.subarray(0, count));
    if (size >= CHUNK) {
      await setImmediate();
      named.signal?.throwIfAborted();
    }
  }
};

/** A kernel file without data yet (/proc/kmsg) is treated as a pipe. */
const readSome = (fd: number, into: Buffer, path: string, named: NamedFile): number => {
  try {
    return readSync(fd, into);
  } catch (error) {
    throw isErrno(error, 'EAGAIN') ? notAFile(path, named, 'a kernel file that has no data yet') : error;
  }
};

const readPipe = async (stream: Socket | ReadStream, path: string, named: NamedFile): Promise<Buffer> => {
  const stopListening = onAbort(named.signal, () => stream.destroy(named.signal?.reason));
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of stream) {
      size += (part as Buffer).length;
      if (size > named.maxBytes) {
        throw tooLarge(path, named);
      }
      parts.push(part as Buffer);
    }
    named.signal?.throwIfAborted();
    return Buffer.concat(parts);
  } finally {
    stopListening();
    stream.destroy();
  }
};

/** /dev/null (character device 1:3 on Linux), which people name to give an empty file. */
const isNull = (info: Stats): boolean => info.isCharacterDevice() && info.rdev === 0x103;

const kindOf = (info: Stats): string => {
  if (info.isFIFO()) {
    return 'a pipe';
  }
  return info.isSocket() ? 'a socket' : 'a device';
};

const notAFile = (path: string, { what, pipes }: NamedFile, kind: string): HyprError =>
  new HyprError('HYPR_FILE', `the ${what} ${path} is ${kind}, not a file`, {
    hint: pipes === true ? 'name a file or a pipe' : 'write its content to a regular file, and name that',
  });

const tooLarge = (path: string, { what, maxBytes, limitCode = 'HYPR_FILE' }: NamedFile): HyprError =>
  new HyprError(limitCode, `the ${what} ${path} is larger than ${formatLimit(maxBytes)}`, { hint: 'check that it is the right file' });

const formatLimit = (bytes: number): string => (bytes < 2 ** 20 ? `${Math.floor(bytes / 1024)} KiB` : `${Math.floor(bytes / 2 ** 20)} MiB`);
