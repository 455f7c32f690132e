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
  /** No way out and no way to the host. */
  readonly internal: boolean;
  readonly mtu: number;
  /** Let guests reach the host's loopback under host.docker.internal / host.hypr. Default false. */
  readonly hostAccess: boolean;
  /**
   * False: no UDP port is ever published here, so gvproxy is started without the right to bind any host port.
   * Otherwise UDP binds must be let through, and those that guests order are undone within seconds.
   */
  readonly udpPorts?: boolean;
}

export interface NetworkRecord {
  readonly spec: NetworkSpec;
  readonly process: ProcessIdentity;
  readonly socket: string;
}

/** One running gvproxy. It outlives this process; `release` lets go without stopping it. */
export interface Network {
  readonly record: NetworkRecord;
  /** Resolves once, never rejects. */
  readonly exited: Promise<{ readonly detail: string }>;
  /** A connected socket in QEMU framing, ready to be handed to a VMM as a descriptor. */
  connectNic(signal?: AbortSignal): Promise<Socket>;
  /** A TCP connection to address:port in the network, through gvproxy. A refused port ends the socket at once. */
  dial(address: string, port: number, signal?: AbortSignal): Promise<Socket>;
  /** Publishes a UDP port of the host; TCP goes through `publishTcp`. */
  exposeUdp(local: { address: string; port: number }, remote: { address: string; port: number }): Promise<void>;
  unexposeUdp(local: { address: string; port: number }): Promise<void>;
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
