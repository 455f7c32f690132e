// Just enough of Ethernet, ARP, IPv4, UDP and TCP to be a guest.
export const mac = (text: string): Buffer => Buffer.from(text.replaceAll(':', ''), 'hex');
export const ip = (text: string): Buffer => Buffer.from(text.split('.').map(Number));
const u16 = (...values: number[]): Buffer => Buffer.concat(values.map((value) => Buffer.from([value >> 8, value & 255])));

export const GATEWAY_MAC = '5a:94:ef:e4:0c:dd';
export const BROADCAST = 'ff:ff:ff:ff:ff:ff';

export interface Host {
  readonly mac: string;
  readonly ip: string;
}

export const ethernet = (to: string, from: string, type: number, payload: Buffer): Buffer =>
  Buffer.concat([mac(to), mac(from), u16(type), payload]);

export const arp = (operation: 1 | 2, from: Host, to: Host): Buffer =>
  ethernet(
    operation === 1 ? BROADCAST : to.mac,
    from.mac,
    0x0806,
    Buffer.concat([
      u16(1, 0x0800),
      Buffer.from([6, 4]),
      u16(operation),
      mac(from.mac),
      ip(from.ip),
      mac(operation === 1 ? '00:00:00:00:00:00' : to.mac),
      ip(to.ip),
    ]),
  );

const checksum = (data: Buffer): number => {
  let sum = 0;
  for (let at = 0; at < data.length; at += 2) {
    sum += ((data[at] ?? 0) << 8) | (data[at + 1] ?? 0);
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return ~sum & 0xffff;
};

const ipv4 = (protocol: number, from: string, to: string, payload: Buffer): Buffer => {
  const head = Buffer.concat([
    Buffer.from([0x45, 0]),
    u16(20 + payload.length, 1, 0x4000),
    Buffer.from([64, protocol, 0, 0]),
    ip(from),
    ip(to),
  ]);
  head.writeUInt16BE(checksum(head), 10);
  return Buffer.concat([head, payload]);
};

const withChecksum = (protocol: number, from: string, to: string, segment: Buffer, at: number): Buffer => {
  const pseudo = Buffer.concat([ip(from), ip(to), Buffer.from([0, protocol]), u16(segment.length)]);
  segment.writeUInt16BE(checksum(Buffer.concat([pseudo, segment])), at);
  return segment;
};

export const udp = (options: { from: Host; to: Host; source: number; target: number; data: Buffer }): Buffer => {
  const { from, to, data } = options;
  const segment = Buffer.concat([u16(options.source, options.target, 8 + data.length, 0), data]);
  return ethernet(to.mac, from.mac, 0x0800, ipv4(17, from.ip, to.ip, withChecksum(17, from.ip, to.ip, segment, 6)));
};

/** An ICMP message of echo's shape: kind 8 asks, 0 answers. */
export const icmp = (from: Host, to: Host, kind: number, data = Buffer.from('ping')): Buffer => {
  const message = Buffer.concat([Buffer.from([kind, 0, 0, 0]), u16(77, 1), data]);
  message.writeUInt16BE(checksum(message), 2);
  return ethernet(to.mac, from.mac, 0x0800, ipv4(1, from.ip, to.ip, message));
};

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;

export interface TcpSegment {
  readonly source: number;
  readonly target: number;
  readonly sequence: number;
  readonly acknowledge: number;
  readonly flags: number;
  readonly data: Buffer;
}

export const tcp = (from: Host, to: Host, segment: TcpSegment): Buffer => {
  const head = Buffer.alloc(20);
  head.writeUInt16BE(segment.source, 0);
  head.writeUInt16BE(segment.target, 2);
  head.writeUInt32BE(segment.sequence, 4);
  head.writeUInt32BE(segment.acknowledge, 8);
  head[12] = 0x50;
  head[13] = segment.flags;
  head.writeUInt16BE(65_000, 14);
  const bytes = withChecksum(6, from.ip, to.ip, Buffer.concat([head, segment.data]), 16);
  return ethernet(to.mac, from.mac, 0x0800, ipv4(6, from.ip, to.ip, bytes));
};

export type Frame =
  | { kind: 'arp'; operation: number; mac: string; ip: string; target: string }
  | { kind: 'udp'; from: string; to: string; source: number; target: number; data: Buffer }
  | ({ kind: 'tcp'; from: string; to: string; fromMac: string } & TcpSegment)
  | { kind: 'icmp'; from: string; to: string; type: number; code: number }
  | { kind: 'other' };

export const parseFrame = (frame: Buffer): Frame => {
  const type = frame.readUInt16BE(12);
  const body = frame.subarray(14);
  if (type === 0x0806) {
    return {
      kind: 'arp',
      operation: body.readUInt16BE(6),
      mac: macText(body.subarray(8, 14)),
      ip: ipText(body.subarray(14, 18)),
      target: ipText(body.subarray(24, 28)),
    };
  }
  if (type !== 0x0800) {
    return { kind: 'other' };
  }
  const inner = body.subarray(((body[0] ?? 0) & 15) * 4, body.readUInt16BE(2));
  const ends = { from: ipText(body.subarray(12, 16)), to: ipText(body.subarray(16, 20)) };
  if (body[9] === 17) {
    return { kind: 'udp', ...ends, source: inner.readUInt16BE(0), target: inner.readUInt16BE(2), data: inner.subarray(8) };
  }
  if (body[9] === 1) {
    return { kind: 'icmp', ...ends, type: inner[0] ?? 0, code: inner[1] ?? 0 };
  }
  if (body[9] === 6) {
    return {
      kind: 'tcp',
      ...ends,
      fromMac: macText(frame.subarray(6, 12)),
      source: inner.readUInt16BE(0),
      target: inner.readUInt16BE(2),
      sequence: inner.readUInt32BE(4),
      acknowledge: inner.readUInt32BE(8),
      flags: inner[13] ?? 0,
      data: inner.subarray(((inner[12] ?? 0) >> 4) * 4),
    };
  }
  return { kind: 'other' };
};

const macText = (bytes: Buffer): string => bytes.toString('hex').replace(/(..)(?=.)/g, '$1:');
const ipText = (bytes: Buffer): string => [...bytes].join('.');
