import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { isatty, ReadStream } from 'node:tty';
import { onAbort } from '../abort.ts';
import { type ErrorCode, HyprError, isErrno } from '../errors.ts';

export interface NamedFile {
  /** What it is to the user: `env file`, `Dockerfile`. */
  readonly what: string;
  /** A larger one is not read to its end. */
  readonly maxBytes: number;
  /** Default HYPR_FILE. */
  readonly limitCode?: ErrorCode;
  /** It was named on the command line, where `<(…)`, /dev/stdin and a FIFO are usual; in a file they would be a trap. */
  readonly pipes?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a whole file that somebody else has named: never more than `maxBytes`, never a device (but /dev/null, which is empty),
 * and without waiting for a writer that may never come, unless `pipes` allows that; then `signal` ends it. Links are followed.
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

/** Paths by which a process names what it was started with: `<(…)` of a shell, and its standard input. */
export const isOwnDescriptor = (path: string): boolean => /^(\/dev\/stdin|\/dev\/fd\/\d+|\/proc\/self\/fd\/\d+)$/.test(path);

/** Not blocking: to open a FIFO would otherwise wait for its writer, in a thread that nothing can end. */
const openNamed = (path: string, named: NamedFile): number => {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    throw isErrno(error, 'ENXIO', 'ENODEV') ? notAFile(path, named, 'a socket or a device') : error;
  }
};

const CHUNK = 256 * 1024;

/** On this thread, because a few small files are the rule; in pieces, so that a large one can be given up between two. */
const readRegular = async (fd: number, path: string, named: NamedFile, info: Stats): Promise<Buffer> => {
  if (info.size > named.maxBytes) {
    throw tooLarge(path, named);
  }
  const parts: Buffer[] = [];
  let size = 0;
  for (;;) {
    // What the kernel makes up (/proc, /sys) has no size, and may have no end.
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

/** A file of the kernel's that has nothing to say yet (/proc/kmsg) is as good as a pipe. */
const readSome = (fd: number, into: Buffer, path: string, named: NamedFile): number => {
  try {
    return readSync(fd, into);
  } catch (error) {
    throw isErrno(error, 'EAGAIN') ? notAFile(path, named, 'a file of the kernel’s that has to be waited for') : error;
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

/** Character device 1:3 of Linux: what people name where nothing is to be read. */
const isNull = (info: Stats): boolean => info.isCharacterDevice() && info.rdev === 0x103;

const kindOf = (info: Stats): string => {
  if (info.isFIFO()) {
    return 'a pipe';
  }
  return info.isSocket() ? 'a socket' : 'a device';
};

const notAFile = (path: string, { what, pipes }: NamedFile, kind: string): HyprError =>
  new HyprError('HYPR_FILE', `the ${what} ${path} is ${kind}, not a file`, {
    hint: pipes === true ? 'name a file, or a pipe' : 'write what it is to say into a file, and name that',
  });

const tooLarge = (path: string, { what, maxBytes, limitCode = 'HYPR_FILE' }: NamedFile): HyprError =>
  new HyprError(limitCode, `the ${what} ${path} is larger than ${formatLimit(maxBytes)}`, { hint: 'is it the file that was meant?' });

const formatLimit = (bytes: number): string => (bytes < 2 ** 20 ? `${Math.floor(bytes / 1024)} KiB` : `${Math.floor(bytes / 2 ** 20)} MiB`);
