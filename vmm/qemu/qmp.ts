import net from 'node:net';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';

export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** A connection to QEMU's monitor (docs/interop/qmp-spec). Commands are answered in order. */
export interface Qmp {
  /** Runs a command; its `return` value, or VMM_START with QEMU's words. */
  run(command: string, args?: object): Promise<unknown>;
  onEvent(listener: (event: QmpEvent) => void): void;
  /** Resolves when the connection is gone, which is when the process is. */
  readonly closed: Promise<void>;
  close(): void;
}

const ANSWER_MS = 30_000;
const MAX_LINE = 1 << 20;

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Connects and negotiates. */
export const connectQmp = async (path: string, signal?: AbortSignal): Promise<Qmp> =>
  withDeadline({ ms: ANSWER_MS, what: `QEMU's monitor ${path}`, signal }, async (deadline) => {
    const socket = net.connect(path);
    const giveUp = () => socket.destroy();
    deadline.addEventListener('abort', giveUp, { once: true });
    try {
      const qmp = new QmpConnection(socket);
      await qmp.greeting;
      await qmp.run('qmp_capabilities');
      return qmp;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      deadline.removeEventListener('abort', giveUp);
    }
  });

class QmpConnection implements Qmp {
  readonly closed: Promise<void>;
  readonly greeting: Promise<void>;
  readonly #socket: net.Socket;
  readonly #pending: Pending[] = [];
  readonly #listeners: Array<(event: QmpEvent) => void> = [];
  #greeted: Pending | undefined;
  #text = '';

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
    socket.setEncoding('utf8').on('data', (chunk: string) => this.#read(chunk));
  }

  run(command: string, args?: object): Promise<unknown> {
    if (this.#socket.destroyed) {
      return Promise.reject(gone());
    }
    const answer = new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
    });
    this.#socket.write(`${JSON.stringify({ execute: command, ...(args ? { arguments: args } : {}) })}\n`);
    return withDeadline({ ms: ANSWER_MS, what: `QEMU's answer to ${command}` }, () => answer);
  }

  onEvent(listener: (event: QmpEvent) => void): void {
    this.#listeners.push(listener);
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: string): void {
    this.#text += chunk;
    if (this.#text.length > MAX_LINE) {
      this.#socket.destroy();
      return;
    }
    const lines = this.#text.split('\n');
    this.#text = lines.pop() ?? '';
    for (const line of lines) {
      this.#dispatch(line);
    }
  }

  #dispatch(line: string): void {
    const message = parse(line);
    if (message === undefined) {
      return;
    }
    if ('QMP' in message) {
      this.#greeted?.resolve(undefined);
    } else if (typeof message.event === 'string') {
      const event = { event: message.event, data: (message.data ?? {}) as Record<string, unknown> };
      for (const listener of this.#listeners) {
        listener(event);
      }
    } else if ('error' in message) {
      const description = (message.error as { desc?: string } | null)?.desc ?? 'no reason given';
      this.#pending.shift()?.reject(new HyprError('VMM_START', `QEMU refused: ${description}`));
    } else if ('return' in message) {
      this.#pending.shift()?.resolve(message.return);
    }
  }

  #failAll(): void {
    this.#greeted?.reject(gone());
    for (const pending of this.#pending.splice(0)) {
      pending.reject(gone());
    }
  }
}

const gone = (): HyprError => new HyprError('VMM_DIED', 'QEMU is gone');

const parse = (line: string): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
};
