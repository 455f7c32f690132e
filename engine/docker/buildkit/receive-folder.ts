import { constants } from 'node:fs';
import { type FileHandle, lutimes, mkdir, open, symlink, utimes } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { AsyncQueue } from '../../../base/queue.ts';
import { ApiError } from '../http/errors.ts';
import { type Packet, Packet_PacketType, PacketSchema, type Stat } from './gen/filesync_pb.ts';
import type { Metadata, Session } from './sessions.ts';

const { PACKET_STAT, PACKET_REQ, PACKET_DATA, PACKET_FIN, PACKET_ERR } = Packet_PacketType;

/** Bits of Go's os.FileMode. */
const GO = {
  dir: 0x8000_0000,
  symlink: 0x0800_0000,
  special: 0x0700_0000 | 0x0020_0000,
  setuid: 0x0080_0000,
  setgid: 0x0040_0000,
  sticky: 0x0010_0000,
};
const MOST_ENTRIES = 2_000_000;
const MOST_PATH = 4096;
/** Of the contents of all files of a folder: far more than any context has, but less than most disks. */
const MOST_BYTES = 16 * 1024 ** 3;

export interface FolderRequest {
  /** As the client calls it: `context`, `dockerfile`. */
  readonly name: string;
  /** Only these, with what their links lead to. */
  readonly only?: readonly string[];
  /** Patterns of a .dockerignore. */
  readonly except?: readonly string[];
  /** Default 16 GiB. */
  readonly mostBytes?: number;
}

/** Fetches a folder of the client into an empty one, which nobody else writes to. Throws 400 for what does not keep to the protocol, and for too much. */
export const receiveFolder = async (session: Session, request: FolderRequest, folder: string, signal: AbortSignal): Promise<void> => {
  const out = new AsyncQueue<Packet>();
  const receiver = new Receiver(folder, request.mostBytes ?? MOST_BYTES, (packet) => void out.push(packet));
  try {
    for await (const packet of session.files(metadataOf(request)).diffCopy(out, { signal })) {
      await receiver.take(packet);
      if (receiver.isOver) {
        break;
      }
    }
  } finally {
    out.end();
    await receiver.close();
  }
  if (!receiver.isOver) {
    throw new ApiError(400, `the client sent the folder ${request.name} in part only`);
  }
};

const metadataOf = ({ name, only, except }: FolderRequest): Metadata => ({
  'dir-name': [name],
  ...(only === undefined ? {} : encoded('followpaths', only)),
  ...(except === undefined || except.length === 0 ? {} : encoded('exclude-patterns', except)),
});

/** Headers are ASCII. */
const encoded = (key: string, values: readonly string[]): Metadata =>
  values.every((value) => /^[\x21-\x7e]*$/.test(value) && !/[,;]/.test(value))
    ? { [key]: values }
    : { [key]: values.map(encodeURIComponent), [`${key}-encoded`]: ['1'] };

interface Wanted {
  readonly path: string;
  readonly stat: Stat;
  file: FileHandle | undefined;
}

class Receiver {
  readonly #folder: string;
  readonly #mostBytes: number;
  readonly #send: (packet: Packet) => void;
  /** Folders that were made here: what is below anything else could leave the folder by a link. */
  readonly #folders = new Set<string>(['.']);
  readonly #wanted = new Map<number, Wanted>();
  readonly #times: Array<{ readonly path: string; readonly time: Date; readonly isLink: boolean }> = [];
  #entries = 0;
  #received = 0;
  #isListed = false;
  isOver = false;

  constructor(folder: string, mostBytes: number, send: (packet: Packet) => void) {
    this.#folder = folder;
    this.#mostBytes = mostBytes;
    this.#send = send;
  }

  async take({ type, stat, ID, data }: Packet): Promise<void> {
    if (type === PACKET_STAT) {
      if (stat === undefined || stat.path === '') {
        this.#isListed = true;
        await this.#endIfWhole();
      } else {
        await this.#entry(stat);
      }
    } else if (type === PACKET_DATA) {
      await this.#bytes(ID, data);
    } else if (type === PACKET_ERR) {
      throw new ApiError(400, `the client cannot send its files: ${Buffer.from(data).toString().slice(0, 500)}`);
    } else if (type === PACKET_FIN) {
      this.isOver = this.#isListed && this.#wanted.size === 0;
    }
  }

  async close(): Promise<void> {
    for (const { file } of this.#wanted.values()) {
      await file?.close();
    }
  }

  async #entry(stat: Stat): Promise<void> {
    const id = this.#entries;
    this.#entries += 1;
    const path = checkPath(stat.path);
    if (this.#entries > MOST_ENTRIES || !this.#folders.has(posix.dirname(path))) {
      throw new ApiError(400, `the client sent files out of order, or too many: ${path}`);
    }
    const place = join(this.#folder, path);
    const { mode } = stat;
    if ((mode & GO.dir) !== 0) {
      await mkdir(place, { mode: permissionsOf(mode) | 0o700 });
      this.#folders.add(path);
    } else if ((mode & GO.symlink) !== 0) {
      await symlink(stat.linkname, place);
    } else if ((mode & GO.special) !== 0) {
      // Sockets and devices are part of no image.
      return;
    } else {
      this.#wanted.set(id, { path: place, stat, file: undefined });
      this.#send(create(PacketSchema, { type: PACKET_REQ, ID: id }));
      return;
    }
    this.#note(place, stat);
  }

  #note(path: string, { modTime, mode }: Stat): void {
    this.#times.push({ path, time: new Date(Number(modTime / 1_000_000n)), isLink: (mode & GO.symlink) !== 0 });
  }

  /** Nothing is the end of a file. */
  async #bytes(id: number, data: Uint8Array): Promise<void> {
    const wanted = this.#wanted.get(id);
    if (wanted === undefined) {
      throw new ApiError(400, 'the client sent a file that nobody asked for');
    }
    this.#received += data.length;
    if (this.#received > this.#mostBytes) {
      throw new ApiError(400, `the folder is larger than ${this.#mostBytes} bytes: name what the build does not need in .dockerignore`);
    }
    wanted.file ??= await open(
      wanted.path,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
      permissionsOf(wanted.stat.mode) | 0o200,
    );
    if (data.length > 0) {
      await wanted.file.writeFile(data);
      return;
    }
    await wanted.file.chmod(permissionsOf(wanted.stat.mode));
    await wanted.file.close();
    this.#note(wanted.path, wanted.stat);
    this.#wanted.delete(id);
    await this.#endIfWhole();
  }

  /** Times of folders last: what is made in them changes them. */
  async #endIfWhole(): Promise<void> {
    if (!this.#isListed || this.#wanted.size > 0) {
      return;
    }
    for (const { path, time, isLink } of this.#times.reverse()) {
      await (isLink ? lutimes : utimes)(path, time, time);
    }
    this.#send(create(PacketSchema, { type: PACKET_FIN }));
  }
}

const checkPath = (path: string): string => {
  const clean = posix.normalize(path);
  const leaves = posix.isAbsolute(path) || clean === '..' || clean.startsWith('../');
  if (path.length > MOST_PATH || path.includes('\0') || leaves || clean === '.') {
    throw new ApiError(400, 'the client sent a path that leaves its folder');
  }
  return clean.replace(/\/$/, '');
};

const permissionsOf = (mode: number): number =>
  (mode & 0o777) |
  ((mode & GO.setuid) !== 0 ? 0o4000 : 0) |
  ((mode & GO.setgid) !== 0 ? 0o2000 : 0) |
  ((mode & GO.sticky) !== 0 ? 0o1000 : 0);
