import { dirname, join } from 'node:path';
import { HyprError } from '../base/errors.ts';
import { hostAddress } from './ipam.ts';
import { contains, parseIpv4, parseSubnet } from './ipv4.ts';
import type { NetworkSpec } from './types.ts';

/** The programs a network needs; a toolchain has this shape. */
export interface NetworkPrograms {
  /** `prefix` comes before the program: a private dynamic loader with its library path, or nothing. */
  readonly gvproxy: { readonly file: string; readonly prefix: readonly string[] };
  /** What compileJail made. */
  readonly jail: string;
}

/** Files of a running network below its run folder. */
export interface NetworkPaths {
  readonly socket: string;
  readonly qemuSocket: string;
  readonly config: string;
  /** UDP ports that were asked for, so that the next supervisor knows them. */
  readonly udp: string;
  /** The jail's status line. */
  readonly jail: string;
}

/** macOS allows 104 bytes with the final NUL, Linux 108. */
const MAX_SOCKET_PATH = 103;

/** The jail tells internet addresses from unix ones by their length; unix paths of these lengths look the same (see jail.c). */
const AMBIGUOUS_LENGTHS = [13, 25];

/** Throws NET_START when the run folder's name is too long for sockets. */
export const networkPaths = (runDir: string): NetworkPaths => {
  const name = ['n', 'nn'].find((candidate) => !AMBIGUOUS_LENGTHS.includes(Buffer.byteLength(join(runDir, `${candidate}.sock`)))) ?? 'n';
  const socket = join(runDir, `${name}.sock`);
  if (Buffer.byteLength(socket) > MAX_SOCKET_PATH) {
    throw new HyprError('NET_START', `the path ${socket} is too long for a socket`, {
      hint: 'set HYPR_RUNTIME_DIR to a folder with a short name',
    });
  }
  return {
    socket,
    qemuSocket: join(runDir, `${name.replaceAll('n', 'q')}.sock`),
    config: join(runDir, 'gvproxy.yaml'),
    udp: join(runDir, 'udp.json'),
    jail: join(runDir, 'jail'),
  };
};

/**
 * gvproxy's configuration file (version 0.8.9; it ignores unknown keys silently). JSON is YAML, and its
 * quoting has no surprises. Throws NET_ADDRESS when the addresses do not fit.
 */
export const buildGvproxyConfig = (spec: NetworkSpec): string => {
  checkAddresses(spec);
  const paths = networkPaths(spec.runDir);
  const host = hostAddress(spec);
  const reachable = spec.hostAccess && !spec.internal;
  return `${JSON.stringify(
    {
      'log-level': 'info',
      listen: [socketUrl(paths.socket)],
      // Nobody ever connects to it: that it is named makes /connect speak QEMU's framing.
      interfaces: { qemu: socketUrl(paths.qemuSocket) },
      stack: {
        mtu: spec.mtu,
        subnet: spec.subnet,
        gatewayIP: spec.gateway,
        nat: { '0.0.0.0': NOWHERE, [host]: reachable ? '127.0.0.1' : NOWHERE },
        // Without this key gvproxy would answer ARP for the host's address.
        gatewayVirtualIPs: reachable ? [spec.gateway, host] : [spec.gateway],
        dns: zones(spec, reachable ? host : undefined),
      },
    },
    undefined,
    2,
  )}\n`;
};

/** The command that starts gvproxy in its jail; the network's name at its end is for `ps`. */
export const buildJailCommand = (spec: NetworkSpec, programs: NetworkPrograms, statusFd: number): { file: string; args: string[] } => {
  const { file, prefix } = programs.gvproxy;
  const needed = [file, ...prefix.flatMap((part) => part.split(':'))].filter((part) => part.startsWith('/'));
  const reads = [...new Set(needed)].flatMap((path) => ['--read', path]);
  const fences = [...(spec.internal ? ['--internal'] : []), ...(spec.udpPorts === false ? ['--no-bind'] : [])];
  const { config } = networkPaths(spec.runDir);
  return {
    file: programs.jail,
    args: [
      ...['--run', dirname(config), ...fences, ...reads, '--read', config, '--status-fd', String(statusFd), '--'],
      ...[...prefix, file, '-config', config, '--', spec.name],
    ],
  };
};

/**
 * Where packets go that must reach nobody. gvproxy dials from the host's sockets: TCP to a multicast address
 * fails at once (a silent black hole would use up its ten dials), and 224.0.0.0 is never a group (RFC 1112 4),
 * so that UDP finds no one.
 */
const NOWHERE = '224.0.0.0';

/** gvproxy answers from the first zone whose name ends the query; the empty name ends every query. */
const zones = (spec: NetworkSpec, host: string | undefined): object[] => {
  if (spec.internal) {
    return [{ name: '', records: [] }];
  }
  return host === undefined
    ? []
    : [
        { name: 'docker.internal.', records: [{ name: 'host', ip: host }] },
        { name: 'hypr.', records: [{ name: 'host', ip: host }] },
      ];
};

const socketUrl = (path: string): string => `unix://${path.split('/').map(encodeURIComponent).join('/')}`;

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
