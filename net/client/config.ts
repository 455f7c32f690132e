import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { hostAddress } from '../addresses/ipam.ts';
import { contains, parseIpv4, parseSubnet } from '../addresses/ipv4.ts';
import type { NetworkSpec } from '../types.ts';

/** The programs a network needs; a toolchain has this shape. */
export interface NetworkPrograms {
  /** Compiled from net/gateway. It re-executes itself, so it cannot be started through a loader. */
  readonly gvproxy: { readonly file: string };
}

/** macOS allows 104 bytes with the final NUL, Linux 108. */
const MAX_SOCKET_PATH = 103;

/** The gateway's socket below a network's run folder. Throws NET_START when its name is too long for a socket. */
export const networkSocket = (runDir: string): string => {
  const socket = join(runDir, 'n.sock');
  if (Buffer.byteLength(socket) > MAX_SOCKET_PATH) {
    throw new HyprError('NET_START', `the path ${socket} is too long for a socket`, {
      hint: 'set HYPR_RUNTIME_DIR to a folder with a short name',
    });
  }
  return socket;
};

/** Name servers as `address:port`, in order. */
export interface Resolvers {
  readonly resolvers: readonly string[];
  /** Asked when none of the host's resolvers answers. */
  readonly fallback: readonly string[];
}

/** What the gateway reads from its standard input (docs/gateway-protocol.md). Throws NET_ADDRESS when the addresses do not fit. */
export const buildGatewayConfig = (spec: NetworkSpec, resolvers: Resolvers): object => {
  checkAddresses(spec);
  return {
    network: spec.name,
    socket: networkSocket(spec.runDir),
    subnet: spec.subnet,
    gateway: spec.gateway,
    ...(spec.hostAccess && !spec.internal ? { host: hostAddress(spec) } : {}),
    ...(spec.subnet6 === undefined ? {} : { subnet6: spec.subnet6, gateway6: spec.gateway6 }),
    mtu: spec.mtu,
    internal: spec.internal,
    ...(spec.idleSeconds === undefined ? {} : { idleSeconds: spec.idleSeconds }),
    ...(spec.internal ? { resolvers: [], fallback: [] } : resolvers),
    names: {
      'gateway.docker.internal': [spec.gateway],
      'gateway.hypr': [spec.gateway],
    },
    blocked: loopbackAddresses(),
  };
};

/** Loopback addresses beside 127.0.0.0/8, which the gateway never dials anyway; some hosts have more. */
const loopbackAddresses = (): string[] => {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return all.filter((each) => each.internal).map((each) => `${each.address.split('%')[0]}/${each.family === 'IPv4' ? 32 : 128}`);
};

const checkAddresses = (spec: NetworkSpec): void => {
  const subnet = parseSubnet(spec.subnet);
  const gateway = parseIpv4(spec.gateway);
  if (subnet === undefined || subnet.prefix > 29) {
    throw new HyprError('NET_ADDRESS', `network ${spec.name}: ${spec.subnet} is not an IPv4 subnet of /29 or larger`);
  }
  if (gateway === undefined || !contains(subnet, gateway)) {
    throw new HyprError('NET_ADDRESS', `network ${spec.name}: the gateway ${spec.gateway} is not in ${spec.subnet}`);
  }
};
