import { Agent, type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { withDeadline } from '../base/deadline.ts';
import { HyprError, isErrno } from '../base/errors.ts';

export interface ApiAnswer {
  readonly status: number;
  readonly body: string;
  /** The body was longer than is read: `body` is its beginning. */
  readonly truncated: boolean;
}

export interface Expose {
  readonly local: string;
  readonly remote: string;
  readonly protocol: string;
}

interface Call {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body: string | undefined;
  readonly signal: AbortSignal | undefined;
  /** On a connection of its own. */
  readonly fresh: boolean;
}

/** Guests can add to what gvproxy answers; more than this is not read. */
const MAX_BODY = 8 * 1024 * 1024;
const DEADLINE_MS = 5000;

/** gvproxy's HTTP API on its unix socket. Every answer has a deadline and a limit. */
export class GvproxyApi {
  readonly #socket: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 });
  #kept: Socket | undefined;
  #onClose: (() => void) | undefined;

  constructor(socket: string) {
    this.#socket = socket;
  }

  /**
   * Calls back whenever the connection that requests share is closed. The kernel closes it when gvproxy ends,
   * which is the only event there is for a process that is not a child; gvproxy closes it after 10 s of silence.
   */
  onClose(listener: () => void): void {
    this.#onClose = listener;
  }

  get(path: string, signal?: AbortSignal): Promise<ApiAnswer> {
    return this.#once({ method: 'GET', path, body: undefined, signal, fresh: false });
  }

  post(path: string, body: object, signal?: AbortSignal): Promise<ApiAnswer> {
    return this.#once({ method: 'POST', path, body: JSON.stringify(body), signal, fresh: false });
  }

  close(): void {
    this.#onClose = undefined;
    this.#agent.destroy();
  }

  #once(call: Call): Promise<ApiAnswer> {
    return withDeadline({ ms: DEADLINE_MS, what: 'the answer of gvproxy', signal: call.signal }, (signal) =>
      this.#send({ ...call, signal }),
    );
  }

  #send(call: Call): Promise<ApiAnswer> {
    const { method, path, body, signal, fresh } = call;
    return new Promise((resolve, reject) => {
      const outgoing = request({
        socketPath: this.#socket,
        agent: fresh ? false : this.#agent,
        method,
        path,
        headers: { host: 'gvproxy', ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }) },
        ...(signal === undefined ? {} : { signal }),
      });
      outgoing.on('socket', (socket) => fresh || this.#keep(socket));
      outgoing.on('error', (error) => {
        // gvproxy closed the shared connection, which had been idle too long, in the very moment it was used again.
        if (outgoing.reusedSocket && isErrno(error, 'ECONNRESET', 'EPIPE')) {
          this.#send({ ...call, fresh: true }).then(resolve, reject);
        } else {
          reject(error);
        }
      });
      outgoing.on('response', (response) => readBody(response).then(resolve, reject));
      outgoing.end(body);
    });
  }

  #keep(socket: Socket): void {
    if (socket !== this.#kept) {
      this.#kept = socket;
      socket.once('close', () => {
        this.#kept = this.#kept === socket ? undefined : this.#kept;
        this.#onClose?.();
      });
    }
  }
}

const readBody = async (response: IncomingMessage): Promise<ApiAnswer> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    const rest = MAX_BODY - size;
    chunks.push(chunk.subarray(0, rest));
    size += chunk.length;
    if (size > MAX_BODY) {
      break;
    }
  }
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8'), truncated: size > MAX_BODY };
};

/** The list of `/services/forwarder/all`. Entries that are none are left out; throws NET_START if it is no list. */
export const parseExposes = (answer: ApiAnswer): Expose[] => {
  const list = parseJson(answer.truncated ? completeList(answer.body) : answer.body);
  if (answer.status !== 200 || !Array.isArray(list)) {
    throw new HyprError('NET_START', `gvproxy did not list its ports (status ${answer.status})`);
  }
  return list.filter(isExpose).map(({ local, remote, protocol }) => ({ local, remote, protocol }));
};

/** Bytes of `/stats`, as the network saw them: received from the guests, sent to them. */
export const parseStats = (answer: ApiAnswer): { received: number; sent: number } => {
  const value = parseJson(answer.body);
  const field = (name: string): number => {
    const number = isRecord(value) ? value[name] : undefined;
    return typeof number === 'number' && Number.isFinite(number) && number >= 0 ? number : 0;
  };
  return { received: field('BytesReceived'), sent: field('BytesSent') };
};

/** The whole entries at the beginning of a list that was cut off. */
const completeList = (text: string): string => `${text.slice(0, text.lastIndexOf('},{') + 1)}]`;

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

const isExpose = (value: unknown): value is Expose =>
  isRecord(value) && typeof value.local === 'string' && typeof value.remote === 'string' && typeof value.protocol === 'string';
