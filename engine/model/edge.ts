/** What the holder of the edge serves, as it tells who connects to its socket. */
export interface EdgeInfo {
  readonly pid: number;
  readonly domain: string;
  /** The edge's port on loopback: HTTP, TLS and proxy. */
  readonly port?: number;
  /** Ports of the system that it has besides: 80, 443. */
  readonly systemPorts: readonly number[];
  readonly dnsPort?: number;
  /** TLS is spoken: there is an authority of the user's. */
  readonly tls: boolean;
  /** What could not be had, and why: sentences. */
  readonly problems: readonly string[];
}

/** A URL under which a service answers now, and which programs of this host it is for. */
export interface BestUrl {
  readonly url: string;
  readonly service: string;
  readonly port: number;
  /** `system`: every program resolves the name; `localhost`: browsers and curl do. */
  readonly reach: 'system' | 'localhost';
}

export interface UrlRequest {
  readonly stack: string;
  /** Without it, the first service with a web port. */
  readonly service?: string;
  /** A port of the guest, instead of the one for browsers. */
  readonly port?: number;
}
