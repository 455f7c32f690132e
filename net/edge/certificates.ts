import { createSecureContext, type SecureContext } from 'node:tls';
import { HyprError } from '../../base/errors.ts';
import { isHostName } from '../names/dns-label.ts';
import { belowDomain, isOwnHost, parseAuthority } from './http/hosts.ts';
import { MAX_CERTIFICATES } from './http/limits.ts';
import type { LeafIssuer } from './http/types.ts';

/**
 * The names of the certificate for a client that asks for `host` (SNI): all services of a project share one, `*.shop.hypr`, because a
 * wildcard stands for one label and `*.hypr` is refused by browsers. Undefined for names that are not ours.
 */
export const certificateNames = (host: string, domain: string): readonly string[] | undefined => {
  if (isOwnHost(host, domain)) {
    return host === domain ? [domain] : ['localhost', `${domain}.localhost`];
  }
  const name = belowDomain(host, domain);
  if (name === undefined) {
    return undefined;
  }
  const suffix = host.slice(name.length);
  const labels = name.split('.');
  if (labels.length > 6 || !isHostName(name)) {
    return undefined;
  }
  const project = labels.length === 1 ? labels[0] : labels.slice(1).join('.');
  return [`${project}${suffix}`, `*.${project}${suffix}`];
};

/** Certificates by the name that a client asks for, made when first asked and kept in memory. */
export class Certificates {
  readonly #issuer: LeafIssuer;
  readonly #domain: string;
  #version: string | undefined;
  /** By first name, in the order of use. */
  readonly #contexts = new Map<string, { readonly since: number; readonly context: Promise<SecureContext> }>();

  constructor(issuer: LeafIssuer, domain: string) {
    this.#issuer = issuer;
    this.#domain = domain;
  }

  /** The certificate for a client that asks for this name. Throws EDGE_HOST for names that are not ours. */
  async contextFor(servername: string): Promise<SecureContext> {
    const host = parseAuthority(servername)?.host ?? '';
    const names = certificateNames(host, this.#domain);
    if (names === undefined) {
      throw new HyprError('EDGE_HOST', 'a certificate was asked for a name that is not of this host');
    }
    const version = this.#issuer.version();
    if (version !== this.#version) {
      this.#version = version;
      this.#contexts.clear();
    }
    const key = names[0] as string;
    const known = this.#contexts.get(key);
    this.#contexts.delete(key);
    // A supervisor may run for longer than a certificate is valid.
    const entry = known !== undefined && Date.now() - known.since < MOST_AGE_MS ? known : { since: Date.now(), context: this.#make(names) };
    this.#contexts.set(key, entry);
    if (entry !== known) {
      // The next client may have more luck, unless another attempt has taken its place.
      entry.context.catch(() => this.#contexts.get(key) === entry && this.#contexts.delete(key));
    }
    for (const oldest of this.#contexts.keys()) {
      if (this.#contexts.size <= MAX_CERTIFICATES) {
        break;
      }
      this.#contexts.delete(oldest);
    }
    return entry.context;
  }

  async #make(names: readonly string[]): Promise<SecureContext> {
    return createSecureContext({ ...(await this.#issuer.issue(names)), minVersion: 'TLSv1.2' });
  }
}

const MOST_AGE_MS = 7 * 24 * 3600 * 1000;
