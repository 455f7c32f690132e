import type { Socket } from 'node:net';
import type { ProcessIdentity } from '../base/host/process.ts';

export interface NetworkSpec {
  /** As the user sees it: shop_default. */
  readonly name: string;
  readonly runDir: string;
  readonly log: string;
  /** CIDR, /29 or larger. */
  readonly subnet: string;
  readonly gateway: string;
  /** `fd….../64` and the gateway's address in it, where the network has IPv6. */
  readonly subnet6?: string;
  readonly gateway6?: string;
  /** No way out and no way to the host. */
  readonly internal: boolean;
  readonly mtu: number;
  /** The network has an address for the host's loopback, for those cards that may use it (`NetworkNic.host`). Default false. */
  readonly hostAccess: boolean;
}

/** Where a machine may connect to. The first rule that matches decides; `to` holds CIDRs, addresses and names (`*.example.com`). */
export interface NetworkPolicy {
  readonly default: 'allow' | 'deny';
  readonly rules: ReadonlyArray<{
    readonly action: 'allow' | 'deny';
    /** Empty or left out: everywhere. */
    readonly to?: readonly string[];
    readonly protocol?: 'tcp' | 'udp' | 'icmp';
    /** `443`, `8000-8010`. */
    readonly ports?: readonly string[];
  }>;
}

/** A machine's card: frames with another MAC or from other addresses are dropped by the gateway. */
export interface NetworkNic {
  /** Of the machine, for events: shop-db-1. */
  readonly name: string;
  readonly mac: string;
  readonly addresses: readonly string[];
  /** May reach the host's loopback under the network's host address. Default false. */
  readonly host?: boolean;
  /** To outside. Default: everything. */
  readonly egress?: NetworkPolicy;
  /** To other machines of the network. Default: everything. */
  readonly peers?: NetworkPolicy;
}

/** Something that the gateway refused or limited; equal ones of a second are one event with a count. */
export interface NetworkEvent {
  readonly event: 'refused' | 'limited' | 'attached' | 'detached' | 'memory';
  readonly machine?: string;
  readonly mac?: string;
  readonly protocol?: string;
  /** Address and port. */
  readonly to?: string;
  /** A name that the destination was resolved from. */
  readonly name?: string;
  /** policy, internal, host, address, a limit, what was spoofed. */
  readonly why?: string;
  readonly count: number;
}

/** One card and its counters; bytes `received` are from the machine, `sent` to it. */
export interface NetworkMachine extends NetworkNic {
  readonly received: number;
  readonly sent: number;
  /** Frames to it that were lost because it read too slowly. */
  readonly dropped: number;
  readonly spoofed: number;
  readonly refused: number;
  readonly limited: number;
  /** Flows to outside that are open. */
  readonly tcp: number;
  readonly udp: number;
  readonly tcpOpened: number;
  readonly udpOpened: number;
}

export interface NetworkState {
  readonly network: string;
  readonly machines: readonly NetworkMachine[];
  readonly tcp: number;
  readonly udp: number;
  readonly tunnels: number;
  readonly fence: NetworkFence;
}

/** What the kernel gave the gateway as a fence. */
export interface NetworkFence {
  /** Landlock's ABI; 0: there is none, and the system call filter stands alone. */
  readonly landlock: number;
  readonly seccomp: boolean;
  /** It can make internet sockets; false on internal networks. */
  readonly nets: boolean;
}

export interface NetworkRecord {
  readonly spec: NetworkSpec;
  readonly process: ProcessIdentity;
  readonly socket: string;
}

/** One running gateway. It outlives this process; `release` lets go without stopping it. */
export interface Network {
  readonly record: NetworkRecord;
  /** Resolves once, never rejects. */
  readonly exited: Promise<{ readonly detail: string }>;
  /** A connected socket in QEMU framing, ready to be handed to a VMM as a descriptor. Throws NET_ADDRESS. */
  connectNic(card: NetworkNic, signal?: AbortSignal): Promise<Socket>;
  /** A TCP connection to address:port in the network. A refused port ends the socket at once. */
  dial(address: string, port: number, signal?: AbortSignal): Promise<Socket>;
  /** A stream of datagrams to address:port in the network, in the framing of docs/gateway-protocol.md. */
  dialUdp(address: string, port: number, signal?: AbortSignal): Promise<Socket>;
  /** Frames of the network as a pcap stream, from now until the socket is closed. */
  capture(options?: { readonly snap?: number; readonly signal?: AbortSignal }): Promise<Socket>;
  /** Changes the rules of a card; what they forbid is ended. Throws NET_ADDRESS when no machine has the MAC. */
  setPolicy(mac: string, policy: { readonly egress?: NetworkPolicy; readonly peers?: NetworkPolicy }): Promise<void>;
  /** Tells of refusals and limits; the returned function stops it. */
  onEvent(listener: (event: NetworkEvent) => void): () => void;
  state(): Promise<NetworkState>;
  stats(): Promise<{ received: number; sent: number }>;
  stop(): Promise<void>;
  release(): void;
}

export interface PublishedPort {
  readonly protocol: 'tcp' | 'udp';
  /** Address of the host; 127.0.0.1 unless the file or a setting says otherwise. */
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly address: string;
  readonly port: number;
}

/** Who listens on a port of the host, as far as this user may know. */
export interface PortHolder {
  readonly pid?: number;
  readonly command?: string;
  /** Owner of the socket; all that is known of a process of another user. */
  readonly uid?: number;
  /** Set when a stack of hypr's holds it. */
  readonly stack?: string;
  readonly service?: string;
}
