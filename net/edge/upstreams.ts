import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Pool } from 'undici';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import type { NameDirectory, NamedService } from '../names/directory.ts';
import { CONNECT_MS, MAX_HEADERS, UPSTREAM_IDLE_MS } from './http/limits.ts';

/** A port of a service. Each new connection looks its name up again, because its machine may be another one by then. */
export interface Target {
  readonly service: NamedService;
  readonly port: number;
}

/** Connections to services: HTTP/1.1 ones are kept for the next requests, by name and port. */
export class Upstreams {
  readonly #directory: NameDirectory;
  readonly #closing = new AbortController();
  readonly #pools = new Map<string, { readonly pool: Pool; readonly host: string }>();
  readonly #leave: () => void;

  constructor(directory: NameDirectory) {
    this.#directory = directory;
    this.#leave = directory.onChange(() => this.#forgetGone());
  }

  pool({ service, port }: Target): Pool {
    const key = `${service.host}:${port}`;
    const known = this.#pools.get(key);
    if (known !== undefined) {
      return known.pool;
    }
    const { host } = service;
    const pool = new Pool('http://service', {
      pipelining: 1,
      // Long polls and streams of events may last for hours, and so may uploads.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: UPSTREAM_IDLE_MS,
      maxHeaderSize: MAX_HEADERS,
      connect: (_options, callback) => {
        this.connect({ service: this.#directory.find(host) ?? service, port }).then(
          (socket) => callback(null, socket as Socket),
          (error: unknown) => callback(error as Error, null),
        );
      },
    });
    this.#pools.set(key, { pool, host });
    return pool;
  }

  /** A new connection to the service. Throws HYPR_TIMEOUT, or what the directory throws: NAME_UNREACHABLE when nothing listens. */
  async connect({ service, port }: Target): Promise<Duplex> {
    const socket = await withDeadline(
      { ms: CONNECT_MS, what: `an answer of ${service.host}, port ${port},`, signal: this.#closing.signal },
      (signal) => service.connect(port, signal),
    );
    if (this.#closing.signal.aborted) {
      socket.destroy();
      throw new HyprError('HYPR_CANCELLED', 'the edge is closing');
    }
    if ('setNoDelay' in socket && typeof socket.setNoDelay === 'function') {
      socket.setNoDelay(true);
    }
    return socket;
  }

  close(): void {
    this.#leave();
    this.#closing.abort(new HyprError('HYPR_CANCELLED', 'the edge is closing'));
    for (const { pool } of this.#pools.values()) {
      void pool.destroy();
    }
    this.#pools.clear();
  }

  #forgetGone(): void {
    for (const [key, { pool, host }] of this.#pools) {
      if (this.#directory.find(host) === undefined) {
        this.#pools.delete(key);
        // Requests under way end with the machine.
        pool.close().catch(() => {});
      }
    }
  }
}
