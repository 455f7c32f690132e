import type { Duplex } from 'node:stream';

/** The domain under which services have names, without a dot in front. It is reserved nowhere, so it is a setting: HYPR_DOMAIN. */
export const DEFAULT_DOMAIN = 'hypr';

/** The domain in use: HYPR_DOMAIN, else `hypr`; lower case, without dots round it. */
export const nameDomain = (env: NodeJS.ProcessEnv = process.env): string =>
  (env.HYPR_DOMAIN ?? '').toLowerCase().replace(/^\.+|\.+$/g, '') || DEFAULT_DOMAIN;

/** A TCP port of a service, as its guest sees it. */
export interface NamedPort {
  port: number;
  /** `unknown` where the port's number does not say. */
  protocol: 'http' | 'tcp' | 'unknown';
}

/** What answers under one name. A service with three names is three of these. */
export interface NamedService {
  /** Lower case, without the domain: `web.shop`, `web-2.shop`, `shop`; names of `hypr.domains` in full, and `*.` in front of a wildcard. */
  host: string;
  stack: string;
  /** Absent for a machine that is no service of a Compose file. */
  service?: string;
  /** The replica's name, where the name is that of one replica. */
  replica?: string;
  /** Of the replica that would answer: `running`, or the best there is (`starting`, `restarting`, …). */
  state: string;
  health?: string;
  /** A loopback address of its own (127.x.y.z), the same at every start. */
  address: string;
  /** Whether its ports are open at that address, which is so where the system's resolver asks us; DNS says 127.0.0.1 otherwise. */
  isBound: boolean;
  /** Ports that the guest listens on now. */
  ports: NamedPort[];
  /** The port that a browser is meant to see. Absent while none is known. */
  webPort?: number;
  /** False where the service said `hypr.https: false`. */
  https: boolean;
  /** What the service wants to read as Host (`hypr.host-header`), instead of what the client sent. */
  hostHeader?: string;
  /** A connection to that port of the service; replicas take turns. Fails with NAME_UNREACHABLE when nothing listens. */
  connect(port: number, signal: AbortSignal): Promise<Duplex>;
}

/** Names of all stacks of this user, kept current by what their supervisors tell. */
export interface NameDirectory {
  /** By name without the domain, in any case. Names of `hypr.domains` are found by their full name; wildcards match. */
  find(host: string): NamedService | undefined;
  /** All names, sorted. */
  list(): NamedService[];
  /** Calls `listener` after each change; returns what ends that. */
  onChange(listener: () => void): () => void;
  /** Ends the connections to supervisors. The directory is empty afterwards. */
  close(): void;
}
