import { type Subnet, subnetAt } from './ipv4.ts';

/** One row of /proc/net/tcp, tcp6, udp or udp6. */
export interface SocketRow {
  /** `127.0.0.1`, `0.0.0.0`, or the eight groups of an IPv6 address without abbreviation. */
  readonly address: string;
  readonly port: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** 10 is LISTEN for TCP; 7 an unconnected UDP socket. */
  readonly state: number;
  readonly uid: number;
  readonly inode: string;
}

/** Rows of a socket table of the kernel (Documentation/networking/proc_net_tcp.rst). Lines that are not rows are skipped. */
export const parseSocketTable = (text: string): SocketRow[] => {
  const rows: SocketRow[] = [];
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/\s+/);
    const [hexAddress, hexPort] = (fields[1] ?? '').split(':');
    const address = parseHexAddress(hexAddress ?? '');
    const [hexRemoteAddress = '', hexRemote = ''] = (fields[2] ?? '').split(':');
    const remoteAddress = parseHexAddress(hexRemoteAddress);
    const [state, uid, inode] = [fields[3] ?? '', fields[7] ?? '', fields[9] ?? ''];
    const arePorts = HEX_PORT.test(hexPort ?? '') && HEX_PORT.test(hexRemote);
    if (
      address !== undefined &&
      remoteAddress !== undefined &&
      arePorts &&
      HEX_BYTE.test(state) &&
      DIGITS.test(uid) &&
      DIGITS.test(inode)
    ) {
      rows.push({
        address,
        port: Number.parseInt(hexPort ?? '', 16),
        remoteAddress,
        remotePort: Number.parseInt(hexRemote, 16),
        state: Number.parseInt(state, 16),
        uid: Number(uid),
        inode,
      });
    }
  }
  return rows;
};

/** Destinations of /proc/net/route except default routes. */
export const parseRoutes = (text: string): Subnet[] => {
  const routes: Subnet[] = [];
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/\s+/);
    const [destination, mask] = [wordOf(fields[1] ?? ''), wordOf(fields[7] ?? '')];
    const prefix = mask === undefined ? undefined : prefixOf(mask);
    if (destination !== undefined && prefix !== undefined && prefix > 0) {
      routes.push(subnetAt(destination, prefix));
    }
  }
  return routes;
};

const HEX_WORD = /^[0-9A-Fa-f]{8}$/;
const HEX_PORT = /^[0-9A-Fa-f]{4}$/;
const HEX_BYTE = /^[0-9A-Fa-f]{2}$/;
const DIGITS = /^\d{1,20}$/;

/** The kernel prints addresses as words in the host's byte order; the architectures hypr runs on are little-endian. */
const bytesOf = (word: string): number[] => [6, 4, 2, 0].map((at) => Number.parseInt(word.slice(at, at + 2), 16));

const wordOf = (word: string): number | undefined =>
  HEX_WORD.test(word) ? bytesOf(word).reduce((value, byte) => value * 256 + byte, 0) : undefined;

const parseHexAddress = (text: string): string | undefined => {
  if (HEX_WORD.test(text)) {
    return bytesOf(text).join('.');
  }
  if (!/^[0-9A-Fa-f]{32}$/.test(text)) {
    return undefined;
  }
  const bytes = [0, 8, 16, 24].flatMap((at) => bytesOf(text.slice(at, at + 8)));
  const groups = [0, 2, 4, 6, 8, 10, 12, 14].map((at) => (((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16));
  return groups.join(':');
};

/** Length of a mask of leading ones; undefined for others. */
const prefixOf = (mask: number): number | undefined => {
  const zeros = 2 ** 32 - mask;
  const bits = Math.log2(zeros);
  return Number.isInteger(bits) ? 32 - bits : undefined;
};
