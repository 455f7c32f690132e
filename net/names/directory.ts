import type { Duplex } from 'node:stream';
import { HyprError } from '../../base/errors.ts';

/** The domain under which services have names, without a dot in front. It is reserved nowhere, so it is a setting: HYPR_DOMAIN. */
export const DEFAULT_DOMAIN = 'hypr';

/**
 * The index page's name below the domain, unless a stack is called so. The domain alone has it too, but systemd-resolved asks no server
 * for names of one label.
 */
export const INDEX_NAME = 'index';

/** DNS labels joined by dots. The domain gets into settings of the system and scripts, so it is nothing else. */
const DOMAIN = /^(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*$/;
const MOST_LENGTH = 200;
/** Top-level domains of the public, as are all of two letters: names of others below them would come here. */
const PUBLIC = /^(?:com|net|org|io|dev|app|[a-z]{2})$/;

/** The domain in use: HYPR_DOMAIN, else `hypr`; lower case, without dots round it. Throws HYPR_USAGE for what cannot be one. */
export const nameDomain = (env: NodeJS.ProcessEnv = process.env): string => {
  const text = env.HYPR_DOMAIN ?? '';
  const domain = text.toLowerCase().replace(/^\.+|\.+$/g, '') || DEFAULT_DOMAIN;
  if (!DOMAIN.test(domain) || domain.length > MOST_LENGTH) {
    throw new HyprError('HYPR_USAGE', `HYPR_DOMAIN is ${JSON.stringify(text)}: it must be a domain of letters, digits, - and dots`);
  }
  if (PUBLIC.test(domain)) {
    throw new HyprError('HYPR_USAGE', `HYPR_DOMAIN is ${JSON.stringify(text)}: that is a domain of the public`, {
      hint: `take one that nobody has, such as ${DEFAULT_DOMAIN}, or one below it that is yours`,
    });
  }
  return domain;
};

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
