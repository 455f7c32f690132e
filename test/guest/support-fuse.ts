import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';

/** Opcodes of linux/fuse.h that tests send. */
export const FUSE = {
  lookup: 1,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  release: 18,
  getxattr: 22,
  init: 26,
  opendir: 27,
  readdir: 28,
  setlk: 32,
  create: 35,
  interrupt: 36,
} as const;

export interface Reply {
  /** 0 or a positive errno. */
  readonly error: number;
  readonly body: Buffer;
}

export const text = (...names: string[]): Buffer => Buffer.from(names.map((name) => `${name}\0`).join(''));
/** u32 and u64 by turns of kind: `u(1, 2n)`. */
export const u = (...values: Array<number | bigint>): Buffer =>
  Buffer.concat(
    values.map((value) => {
      const out = Buffer.alloc(typeof value === 'bigint' ? 8 : 4);
      typeof value === 'bigint' ? out.writeBigUInt64LE(value) : out.writeUInt32LE(value >>> 0);
      return out;
    }),
  );

/** The whole request; `length` is what its head says, where that is to be wrong. */
export const request = (opcode: number, unique: number, node: bigint, body: Buffer, length?: number): Buffer => {
  const ids = [process.getuid?.() ?? 0, process.getgid?.() ?? 0, 1, 0];
  return Buffer.concat([u(length ?? 40 + body.length, opcode, BigInt(unique), node, ...ids), body]);
};

/** What plays the kernel of a machine that borrows: one request at a time. */
export class FuseClient {
  readonly child: ChildProcessWithoutNullStreams;
  stderr = '';
  #have = Buffer.alloc(0);
  #wake: () => void = () => {};
  #unique = 0;
  readonly exit: Promise<number | null>;

  /** To serve read-only it mounts, for which it has a namespace. */
  constructor(program: string, folder: string, options: { readOnly?: boolean } = {}) {
    this.child = options.readOnly === true ? spawn('unshare', ['-Urm', program, folder, 'read-only']) : spawn(program, [folder]);
    this.child.stdin.on('error', () => {});
    this.child.stderr.on('data', (data: Buffer) => {
      this.stderr += data;
    });
    this.child.stdout.on('data', (data: Buffer) => {
      this.#have = Buffer.concat([this.#have, data]);
      this.#wake();
    });
    this.exit = once(this.child, 'exit').then(([code]) => {
      this.#wake();
      return code as number | null;
    });
  }

  async ask(opcode: number, node: bigint, body: Buffer = Buffer.alloc(0)): Promise<Reply> {
    this.#unique += 2;
    this.child.stdin.write(request(opcode, this.#unique, node, body));
    const reply = await this.next();
    if (reply === undefined) {
      throw new Error(`the server ended: ${this.stderr}`);
    }
    return reply;
  }

  /** The next answer, or undefined when the server has ended. */
  async next(): Promise<Reply | undefined> {
    while (this.#have.length < 16 || this.#have.length < this.#have.readUInt32LE(0)) {
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        return undefined;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const length = this.#have.readUInt32LE(0);
    const reply = { error: 0 - this.#have.readInt32LE(4), body: this.#have.subarray(16, length) };
    this.#have = this.#have.subarray(length);
    return reply;
  }

  /** The number of a name in a folder. */
  async find(name: string, folder = 1n): Promise<bigint> {
    const { error, body } = await this.ask(FUSE.lookup, folder, text(name));
    if (error !== 0) {
      throw new Error(`${name}: errno ${error}`);
    }
    return body.readBigUInt64LE(0);
  }

  async close(): Promise<number | null> {
    this.child.stdin.end();
    return this.exit;
  }
}
