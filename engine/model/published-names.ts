import type { StackName } from '../../net/names/stack-names.ts';

/** A name of a stack, with all that another process needs to lead connections to it. */
export interface PublishedName extends Omit<StackName, 'members'> {
  /** Of this host's loopback, its own. */
  readonly address: string;
  /** Whether its ports are open at that address. */
  readonly isBound: boolean;
  /** The replicas that connections go to: the socket of the network's gateway, the address in the network, and what listens there. */
  readonly targets: ReadonlyArray<{ readonly socket: string; readonly address: string; readonly ports: readonly number[] }>;
}

export interface PublishedNames {
  readonly stack: string;
  readonly names: readonly PublishedName[];
  /** Names that could not be given, as sentences. */
  readonly problems: readonly string[];
}

/** All names of a user, for people to read. */
export interface NameReport {
  readonly domain: string;
  /** Whether the system's resolver asks us, so that every program finds the names. */
  readonly reachesPrograms: boolean;
  readonly names: ReadonlyArray<Omit<PublishedName, 'targets' | 'isExtra' | 'owner'> & { readonly stack: string }>;
  readonly problems: readonly string[];
}
