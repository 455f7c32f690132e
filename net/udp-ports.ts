import { readFile } from 'node:fs/promises';
import { HyprError, isErrno, messageOf } from '../base/errors.ts';
import { writeFileAtomic } from '../base/host/files.ts';
import { logger } from '../base/log.ts';
import { type ApiAnswer, type Expose, type GvproxyApi, parseExposes } from './gvproxy-api.ts';
import { formatEndpoint, portDenied, portInUse } from './port-errors.ts';

const log = logger('net');

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/**
 * The UDP ports that gvproxy forwards for a network, and nothing else: guests can order forwards too (and
 * drop ours), so `enforce` compares the list with what was asked for and puts it right. What was asked for
 * is kept in a file for the next supervisor.
 */
export class UdpPorts {
  readonly #api: GvproxyApi;
  readonly #file: string;
  readonly #network: string;
  readonly #wanted = new Map<string, Expose>();
  /** One change at a time, so that enforce never sees a port half made. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: { api: GvproxyApi; file: string; network: string }) {
    this.#api = options.api;
    this.#file = options.file;
    this.#network = options.network;
  }

  /** Reads what an earlier supervisor asked for. */
  async load(): Promise<void> {
    for (const expose of parseUdpFile(await readIfThere(this.#file))) {
      this.#wanted.set(keyOf(expose), expose);
    }
  }

  /** Throws NET_PORT_IN_USE naming the holder, or NET_PORT_DENIED. */
  expose(local: Endpoint, remote: Endpoint): Promise<void> {
    return this.#exclusively(async () => {
      const expose = { local: formatEndpoint(local), remote: formatEndpoint(remote), protocol: 'udp' };
      const key = keyOf(expose);
      const before = this.#wanted.get(key);
      this.#wanted.set(key, expose);
      try {
        if (before !== undefined && before.remote !== expose.remote) {
          await this.#undo(before);
        }
        await this.#put(local, expose);
        await this.#save();
      } catch (error) {
        this.#wanted.delete(key);
        throw error;
      }
    });
  }

  unexpose(local: Endpoint): Promise<void> {
    return this.#exclusively(async () => {
      const expose = { local: formatEndpoint(local), remote: '', protocol: 'udp' };
      this.#wanted.delete(keyOf(expose));
      await this.#save();
      await this.#undo(expose);
    });
  }

  /**
   * Undoes forwards nobody asked for and restores those that were. Throws when the list cannot be had:
   * FloodedError when a guest made it too long to be read.
   */
  enforce(): Promise<void> {
    return this.#exclusively(async () => {
      const present = await this.#list();
      const foreign = present.filter((candidate) => this.#wanted.get(keyOf(candidate))?.remote !== candidate.remote);
      for (const expose of foreign) {
        await this.#undo(expose);
      }
      const keys = new Set(present.map(keyOf));
      const missing = [...this.#wanted.values()].filter(
        (expose) => !keys.has(keyOf(expose)) || foreign.some((other) => keyOf(other) === keyOf(expose)),
      );
      for (const expose of missing) {
        await this.#api.post('/services/forwarder/expose', expose);
      }
      if (foreign.length > 0 || missing.length > 0) {
        const example = (foreign[0] ?? missing[0])?.local.slice(0, 100);
        log.warn('a guest changed the ports of the host; put right', {
          network: this.#network,
          undone: foreign.length,
          restored: missing.length,
          example,
        });
      }
    });
  }

  async #list(): Promise<Expose[]> {
    const answer = await this.#api.get('/services/forwarder/all');
    try {
      return parseExposes(answer);
    } catch (error) {
      throw answer.truncated ? new FloodedError('the list of ports is too long to be read', { cause: error }) : error;
    }
  }

  async #put(local: Endpoint, expose: Expose): Promise<void> {
    let answer = await this.#api.post('/services/forwarder/expose', expose);
    if (answer.status === 500) {
      // It may be a guest of this very network that holds the port, or an earlier supervisor that asked for it.
      const present = await this.#list();
      if (present.some((other) => keyOf(other) === keyOf(expose) && other.remote === expose.remote)) {
        return;
      }
      for (const other of present.filter((candidate) => !this.#wanted.has(keyOf(candidate)) || keyOf(candidate) === keyOf(expose))) {
        await this.#undo(other);
      }
      answer = await this.#api.post('/services/forwarder/expose', expose);
    }
    if (answer.status !== 200) {
      throw await refusal(local, answer);
    }
  }

  async #undo({ local, protocol }: Expose): Promise<void> {
    await this.#api.post('/services/forwarder/unexpose', { local, protocol });
  }

  #save(): Promise<void> {
    return writeFileAtomic(this.#file, JSON.stringify([...this.#wanted.values()]));
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => {});
    return turn;
  }
}

/** A guest ordered a port with so long a name that the list of ports cannot be read any more. */
export class FloodedError extends Error {}

const keyOf = ({ protocol, local }: Expose): string => `${protocol}/${local}`;

const refusal = async (local: Endpoint, answer: ApiAnswer): Promise<HyprError> => {
  const port = { protocol: 'udp' as const, hostAddress: local.address, hostPort: local.port };
  const text = answer.body.trim().slice(0, 300);
  if (text.includes('address already in use')) {
    return portInUse(port);
  }
  if (text.includes('permission denied')) {
    return portDenied(port);
  }
  return new HyprError('NET_START', `UDP port ${formatEndpoint(local)} could not be published: ${text}`);
};

/** The file's ports; a file that cannot be read counts as empty, for ports can be asked for again. */
const parseUdpFile = (text: string | undefined): Expose[] => {
  try {
    return text === undefined ? [] : parseExposes({ status: 200, body: text, truncated: false });
  } catch (error) {
    log.warn('the list of published UDP ports cannot be read', { error: messageOf(error) });
    return [];
  }
};

const readIfThere = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return undefined;
    }
    throw error;
  }
};
