import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Pool } from 'undici';
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
  readonly #pools = new Map<string, { readonly pool: Promise<Pool>; readonly target: Target }>();
  readonly #leave: () => void;

  constructor(directory: NameDirectory) {
    this.#directory = directory;
    this.#leave = directory.onChange(() => this.#forgetGone());
  }

  pool(target: Target): Promise<Pool> {
    const key = keyOf(target);
    const known = this.#pools.get(key);
    if (known !== undefined) {
      return known.pool;
    }
    const pool = this.#makePool(target);
    this.#pools.set(key, { pool, target });
    return pool;
  }

  async #makePool({ service, port }: Target): Promise<Pool> {
    const { host } = service;
    const { Pool } = await import('./pool.ts');
    return new Pool('http://service', {
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
      void pool.then((each) => each.destroy());
    }
    this.#pools.clear();
  }

  #forgetGone(): void {
    for (const [key, { pool, target }] of this.#pools) {
      if (!this.isCurrent(target)) {
        this.#pools.delete(key);
        // Requests under way end with the machine.
        pool.then((each) => each.close()).catch(() => {});
      }
    }
  }

  /** Whether its name still is that service's: another may have it by now. */
  isCurrent({ service, port }: Target): boolean {
    const now = this.#directory.find(service.host);
    return now !== undefined && keyOf({ service: now, port }) === keyOf({ service, port });
  }
}

/** One for each port of what answers to a name: connections that are kept do not follow the name when it moves. Pure. */
export const keyOf = ({ service, port }: Target): string =>
  JSON.stringify([service.host, service.stack, service.service, service.replica, service.address, port]);
