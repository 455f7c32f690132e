import { once } from 'node:events';
import net from 'node:net';
import { onAbort } from '../../base/abort.ts';
import { sleep, withDeadline } from '../../base/deadline.ts';
import { HyprError, isErrno } from '../../base/errors.ts';
import { LineSplitter } from '../../base/lines.ts';
import { sanitiseName } from '../../base/sanitise.ts';

export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The commands that are used, their arguments and answers (qapi/ of QEMU). */
export interface QmpCommands {
  cont: { args: undefined; result: unknown };
  stop: { args: undefined; result: unknown };
  quit: { args: undefined; result: unknown };
  qmp_capabilities: { args: undefined; result: unknown };
  'query-status': { args: undefined; result: { readonly status: string; readonly running: boolean } };
  'query-stats': {
    args: { readonly target: 'vm' | 'vcpu' };
    result: ReadonlyArray<{ readonly stats: ReadonlyArray<{ readonly name: string; readonly value: unknown }> }>;
  };
  set_link: { args: { readonly name: string; readonly up: boolean }; result: unknown };
  device_add: { args: Readonly<Record<string, string | number>>; result: unknown };
  netdev_add: { args: { readonly type: 'socket'; readonly id: string; readonly fd: string }; result: unknown };
  netdev_del: { args: { readonly id: string }; result: unknown };
  device_del: { args: { readonly id: string }; result: unknown };
  'blockdev-add': { args: Readonly<Record<string, unknown>>; result: unknown };
  'blockdev-del': { args: { readonly 'node-name': string }; result: unknown };
  'migrate-set-capabilities': {
    args: { readonly capabilities: ReadonlyArray<{ readonly capability: string; readonly state: boolean }> };
    result: unknown;
  };
  'migrate-set-parameters': { args: Readonly<Record<string, number | string>>; result: unknown };
  'announce-self': { args: Readonly<Record<string, number>>; result: unknown };
  migrate: { args: { readonly uri: string }; result: unknown };
  'migrate-incoming': { args: { readonly uri: string }; result: unknown };
}

/** A connection to QEMU's monitor (docs/interop/qmp-spec). */
export interface Qmp {
  /** Runs a command. Throws VMM_DIED if QEMU has ended, HYPR_TIMEOUT if it is stuck, HYPR_INTERNAL with its message if it refuses. */
  run<C extends keyof QmpCommands>(command: C, args?: QmpCommands[C]['args'], signal?: AbortSignal): Promise<QmpCommands[C]['result']>;
  /**
   * Gives QEMU a descriptor, by the name under which the next command uses it. `pass` sends the command with the descriptor over this
   * connection's socket, which Node itself cannot. Errors as of `run`, and those of `pass`.
   */
  passDescriptor(name: string, pass: (socket: net.Socket, command: string) => Promise<void>, signal?: AbortSignal): Promise<void>;
  onEvent(listener: (event: QmpEvent) => void): void;
  /** Resolves when the connection is closed, which happens when the process ends; all its messages were handled by then. */
  readonly closed: Promise<void>;
  close(): void;
}

const ANSWER_MS = 30_000;
/** QEMU's largest answers have some kilobytes. */
const MAX_LINE = 1 << 20;
const RETRY_MS = 10;
/** The only class of error that says something (qapi/error.json, QapiErrorClass). */
const NOT_FOUND = 'DeviceNotFound';

/** Passes over that QEMU has no such device; throws any other error again. */
export const unlessUnknown = (error: unknown): void => {
  if (!(error instanceof HyprError && error.reason === NOT_FOUND)) {
    throw error;
  }
};

/** Connects and negotiates. QEMU serves one connection at a time: a second one waits for the first to close. */
export const connectQmp = async (path: string, signal?: AbortSignal): Promise<Qmp> =>
  withDeadline({ ms: ANSWER_MS, what: `QEMU's monitor ${path}`, signal }, async (deadline) => {
    const socket = await connectSocket(path, deadline);
    const leave = onAbort(deadline, () => socket.destroy());
    try {
      const qmp = new QmpConnection(socket);
      await qmp.greeting;
      await qmp.run('qmp_capabilities');
      return qmp;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      leave();
    }
  });

const connectSocket = async (path: string, signal: AbortSignal): Promise<net.Socket> => {
  for (;;) {
    const socket = net.connect(path);
    try {
      await once(socket, 'connect', { signal });
      return socket;
    } catch (error) {
      socket.destroy();
      // The file exists since bind(2); listen(2) follows an instant later and gives no event. A process that is held accepts nobody, and
      // its queue is soon full of those who have given up.
      if (!isErrno(error, 'ECONNREFUSED', 'EAGAIN')) {
        throw error;
      }
      await sleep(RETRY_MS, signal);
    }
  }
};

interface Pending {
  readonly command: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class QmpConnection implements Qmp {
  readonly closed: Promise<void>;
  readonly greeting: Promise<void>;
  readonly #socket: net.Socket;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners: Array<(event: QmpEvent) => void> = [];
  #greeted: Omit<Pending, 'command'> | undefined;
  readonly #lines = new LineSplitter();
  #lastId = 0;
  /** A command that another process sends over this socket. */
  #passing: Promise<void> = Promise.resolve();

  constructor(socket: net.Socket) {
    this.#socket = socket;
    this.greeting = new Promise((resolve, reject) => {
      this.#greeted = { resolve: () => resolve(), reject };
    });
    this.greeting.catch(() => {});
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#failAll();
        resolve();
      });
    });
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
  }

  async run<C extends keyof QmpCommands>(
    command: C,
    args?: QmpCommands[C]['args'],
    signal?: AbortSignal,
  ): Promise<QmpCommands[C]['result']> {
    // Nothing may come between the bytes of a command that another process sends.
    await this.#passing;
    const send = async (text: string) => {
      this.#socket.write(`${text}\n`);
    };
    return (await this.#ask(command, args, send, signal)) as QmpCommands[C]['result'];
  }

  async passDescriptor(name: string, pass: (socket: net.Socket, command: string) => Promise<void>, signal?: AbortSignal): Promise<void> {
    await this.#passing;
    const send = (text: string): Promise<void> => {
      const passing = pass(this.#socket, text);
      this.#passing = passing.catch(() => {});
      return passing;
    };
    await this.#ask('getfd', { fdname: name }, send, signal);
  }

  async #ask(command: string, args: unknown, send: (text: string) => Promise<void>, signal: AbortSignal | undefined): Promise<unknown> {
    if (this.#socket.destroyed) {
      throw gone();
    }
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(id, { command, resolve, reject });
    });
    answer.catch(() => {});
    try {
      return await withDeadline({ ms: ANSWER_MS, what: `QEMU's answer to ${command}`, signal }, async () => {
        await send(JSON.stringify({ execute: command, ...(args ? { arguments: args } : {}), id }));
        return answer;
      });
    } finally {
      this.#pending.delete(id);
    }
  }

  onEvent(listener: (event: QmpEvent) => void): void {
    this.#listeners.push(listener);
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    for (const line of this.#lines.push(chunk)) {
      this.#dispatch(line.toString('utf8'));
    }
    if (this.#lines.pending > MAX_LINE) {
      this.#socket.destroy();
    }
  }

  #dispatch(line: string): void {
    const message = parseMessage(line);
    if (message === undefined) {
      return;
    }
    if (typeof message.event === 'string') {
      const event = { event: message.event, data: isObject(message.data) ? message.data : {} };
      for (const listener of this.#listeners) {
        listener(event);
      }
    } else if ('QMP' in message) {
      this.#greeted?.resolve(undefined);
    } else {
      this.#answer(message);
    }
  }

  #answer(message: Readonly<Record<string, unknown>>): void {
    const pending = typeof message.id === 'number' ? this.#pending.get(message.id) : undefined;
    if (pending === undefined) {
      return;
    }
    if ('return' in message) {
      pending.resolve(message.return);
    } else {
      const words = isObject(message.error) && typeof message.error.desc === 'string' ? message.error.desc : 'no reason given';
      const finer = isObject(message.error) && message.error.class === NOT_FOUND ? { reason: NOT_FOUND } : {};
      pending.reject(new HyprError('HYPR_INTERNAL', `QEMU refused ${pending.command}: ${sanitiseName(words)}`, finer));
    }
  }

  #failAll(): void {
    this.#greeted?.reject(gone());
    for (const pending of this.#pending.values()) {
      pending.reject(gone());
    }
  }
}

const gone = (): HyprError => new HyprError('VMM_DIED', 'QEMU has ended');

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** One line of QMP; undefined for what is not a JSON object. */
export const parseMessage = (line: string): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
};
