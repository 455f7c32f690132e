import { connect, type Socket } from 'node:net';
import { StringDecoder } from 'node:string_decoder';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import type { NetworkEvent } from '../types.ts';
import { readEvent } from './read-event.ts';
import { refusalOf } from './streams.ts';

interface Waiting {
  readonly resolve: (reply: Record<string, unknown>) => void;
  readonly reject: (error: Error) => void;
}

const DEADLINE_MS = 5000;
/** The state of a thousand machines with their rules takes a few megabytes. */
const MAX_LINE = 32 * 1024 * 1024;

/**
 * The control connection to a gateway: requests, and events in between. The kernel closes it when the gateway exits,
 * which replaces the exit event of a child process.
 */
export class GatewayControl {
  readonly #socket: Socket;
  readonly #decoder = new StringDecoder('utf8');
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<(event: NetworkEvent) => void>();
  readonly #ready: Promise<void>;
  #greeted: Waiting | undefined;
  /** Parts of the current, incomplete line. */
  #parts: string[] = [];
  #size = 0;
  #nextId = 1;
  #onClose: (() => void) | undefined;
  #ended: HyprError | undefined;

  private constructor(path: string) {
    this.#ready = new Promise((resolve, reject) => {
      this.#greeted = { resolve: () => resolve(), reject };
    });
    this.#ready.catch(() => {});
    this.#socket = connect({ path });
    this.#socket.on('data', (chunk) => this.#read(this.#decoder.write(chunk)));
    this.#socket.on('error', (error) => this.#fail(`the network does not answer: ${messageOf(error)}`));
    this.#socket.on('close', () => this.#fail('the network closed the connection'));
    this.#socket.write('{"op":"control"}\n');
  }

  /** Resolves when the gateway has answered. Throws NET_START. */
  static async open(path: string, parent?: AbortSignal): Promise<GatewayControl> {
    const control = new GatewayControl(path);
    try {
      await withDeadline({ ms: DEADLINE_MS, what: 'the answer of a network', signal: parent }, () => control.#ready);
      return control;
    } catch (error) {
      control.close();
      throw error;
    }
  }

  /** Calls back once when the connection is lost without `close`. */
  onClose(listener: () => void): void {
    this.#onClose = listener;
    if (this.#ended !== undefined) {
      listener();
    }
  }

  onEvent(listener: (event: NetworkEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Throws NET_ADDRESS with the gateway's reason when it refuses, NET_START when it is gone. */
  request(op: string, body: object = {}, parent?: AbortSignal): Promise<Record<string, unknown>> {
    return withDeadline({ ms: DEADLINE_MS, what: 'the answer of a network', signal: parent }, async () => {
      if (this.#ended !== undefined) {
        throw this.#ended;
      }
      const id = this.#nextId;
      this.#nextId += 1;
      try {
        return await new Promise<Record<string, unknown>>((resolve, reject) => {
          this.#waiting.set(id, { resolve, reject });
          this.#socket.write(`${JSON.stringify({ ...body, id, op })}\n`);
        });
      } finally {
        this.#waiting.delete(id);
      }
    });
  }

  /** Lets this process exit while the connection is open. */
  unref(): void {
    this.#socket.unref();
  }

  close(): void {
    this.#onClose = undefined;
    this.#listeners.clear();
    this.#socket.destroy();
    this.#fail('the connection to the network was closed');
  }

  #read(text: string): void {
    const lines = text.split('\n');
    for (const [index, part] of lines.entries()) {
      this.#parts.push(part);
      this.#size += part.length;
      if (index < lines.length - 1) {
        const line = this.#parts.join('');
        this.#parts = [];
        this.#size = 0;
        this.#take(line);
      }
    }
    if (this.#size > MAX_LINE) {
      this.#fail('the network gave an answer that is too long');
      this.#socket.destroy();
    }
  }

  #take(line: string): void {
    const value = parse(line);
    if (value !== undefined && 'event' in value) {
      const event = readEvent(value);
      for (const listener of event === undefined ? [] : this.#listeners) {
        listener(event as NetworkEvent);
      }
      return;
    }
    const waiting = this.#greeted ?? this.#waiting.get(Number(value?.id));
    this.#greeted = undefined;
    if (value?.ok === true) {
      waiting?.resolve(value);
    } else {
      waiting?.reject(refusalOf(line));
    }
  }

  #fail(reason: string): void {
    if (this.#ended === undefined) {
      const error = new HyprError('NET_START', reason);
      this.#ended = error;
      this.#greeted?.reject(error);
      for (const { reject } of this.#waiting.values()) {
        reject(error);
      }
      this.#onClose?.();
    }
  }
}

const parse = (line: string): Record<string, unknown> | undefined => {
  try {
    const value = JSON.parse(line) as unknown;
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
};
