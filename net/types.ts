import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
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
  /** No route to the outside and none to the host. */
  readonly internal: boolean;
  readonly mtu: number;
  /** The network has an address for the host's loopback, for NICs that may use it (`NetworkNic.host`). Default false. */
  readonly hostAccess: boolean;
  /** For a network of several supervisors: its gateway ends when nobody has been connected to it for this long. */
  readonly idleSeconds?: number;
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

/** A machine's NIC. The gateway drops frames with another MAC or from other addresses. */
export interface NetworkNic {
  /** Name of the machine, for events: shop-db-1. */
  readonly name: string;
  readonly mac: string;
  readonly addresses: readonly string[];
  /** May reach the host's loopback under the network's host address. Default false. */
  readonly host?: boolean;
  /** Destinations outside. Default: everything. */
  readonly egress?: NetworkPolicy;
  /** Other machines of the network. Default: everything. */
  readonly peers?: NetworkPolicy;
}

/** Something that the gateway refused or limited; equal events within a second are merged into one with a count. */
export interface NetworkEvent {
  readonly event: 'refused' | 'limited' | 'attached' | 'detached' | 'memory' | 'names' | 'edge';
  /** Of `names`: the name tables of all supervisors on this network, by owner. */
  readonly owners?: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  readonly machine?: string;
  readonly mac?: string;
  readonly protocol?: string;
  /** Address and port. */
  readonly to?: string;
  /** A name that the destination was resolved from. */
  readonly name?: string;
  /** policy (of egress), peers, internal, host, address, a limit, what was spoofed. */
  readonly why?: string;
  /** Of `edge`: the number of a connection that is to be fetched, and whose it is; address and port. */
  readonly edge?: number;
  readonly from?: string;
  readonly count: number;
}

/** One NIC and its counters; bytes `received` are from the machine, `sent` to it. */
export interface NetworkMachine extends NetworkNic {
  readonly received: number;
  readonly sent: number;
  /** Frames to the machine that were dropped because it read too slowly. */
  readonly dropped: number;
  readonly spoofed: number;
  readonly refused: number;
  readonly limited: number;
  /** Open flows to the outside. */
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

/** The sandbox that the kernel gave the gateway. */
export interface NetworkFence {
  /** Landlock's ABI version; 0: not available, and only the system call filter applies. */
  readonly landlock: number;
  readonly seccomp: boolean;
  /** Whether it can create internet sockets; false on internal networks. */
  readonly nets: boolean;
}

export interface NetworkRecord {
  readonly spec: NetworkSpec;
  readonly process: ProcessIdentity;
  readonly socket: string;
  /** Its cgroup, where it has one that is to be removed with it. */
  readonly cgroup?: string;
}

/** A machine's connection to port 443 of another. */
export interface EdgeConnection {
  readonly socket: Socket;
  /** Addresses of the two machines; the gateway lets none claim another's. */
  readonly from: string;
  readonly to: string;
}

/** One running gateway. It outlives this process; `release` disconnects without stopping it. */
export interface Network {
  readonly record: NetworkRecord;
  /** Resolves once, never rejects. */
  readonly exited: Promise<{ readonly detail: string }>;
  /** A connected socket in QEMU framing, ready to be handed to a VMM as a descriptor. Throws NET_ADDRESS. */
  connectNic(nic: NetworkNic, signal?: AbortSignal): Promise<Socket>;
  /** A TCP connection to address:port in the network. A refused port ends the socket at once. */
  dial(address: string, port: number, signal?: AbortSignal): Promise<Socket>;
  /** A stream of datagrams to address:port in the network, in the framing of docs/gateway-protocol.md. */
  dialUdp(address: string, port: number, signal?: AbortSignal): Promise<Socket>;
  /** Frames of the network as a pcap stream, from now until the socket is closed. */
  capture(options?: { readonly snap?: number; readonly signal?: AbortSignal }): Promise<Socket>;
  /** Ends a NIC's connection: what goes over it ends, and its address is free. Throws NET_ADDRESS when there is none with this MAC. */
  detachNic(mac: string): Promise<void>;
  /** Changes the rules of a NIC and ends connections that are no longer allowed. Throws NET_ADDRESS when no machine has the MAC. */
  setPolicy(mac: string, policy: { readonly egress?: NetworkPolicy; readonly peers?: NetworkPolicy }): Promise<void>;
  /**
   * Sets the names of this owner, a stack. Those of all owners are answered by the gateway, and told to every supervisor as an
   * event; an owner's names stay when its supervisor is killed, for as long as a machine has the address.
   */
  setNames(owner: string, names: Readonly<Record<string, readonly string[]>>): Promise<void>;
  /**
   * Speaks for port 443 of these machines (address → the machine's own port that stands behind it), instead of those before. Each connection of
   * another machine that may reach that port is given to `accept`. It ends with this object. Throws NET_ADDRESS.
   */
  setEdges(targets: Readonly<Record<string, number>>, accept: (connection: EdgeConnection) => void): Promise<void>;
  /** Calls the listener for refusals and limits; the returned function unsubscribes it. */
  onEvent(listener: (event: NetworkEvent) => void): () => void;
  state(): Promise<NetworkState>;
  stats(): Promise<{ received: number; sent: number }>;
  stop(): Promise<void>;
  release(): void;
}

/** Connects to a port of a machine. That nobody listens there shows in the end of the stream. */
export interface Dial {
  dial(address: string, port: number, signal?: AbortSignal): Promise<Duplex>;
}

export interface PublishedPort {
  readonly protocol: 'tcp' | 'udp';
  /** Address of the host; 127.0.0.1 unless the file or a setting says otherwise. */
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly address: string;
  readonly port: number;
}

/** The process listening on a port of the host, as far as this user may know. */
export interface PortHolder {
  readonly pid?: number;
  readonly command?: string;
  /** Owner of the socket; the only thing known about another user's process. */
  readonly uid?: number;
  /** Set when a hypr stack holds it. */
  readonly stack?: string;
  readonly service?: string;
}
