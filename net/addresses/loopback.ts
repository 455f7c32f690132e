import { createHash } from 'node:crypto';
import { parseIpv4 } from './ipv4.ts';

/** 127.64.0.0/10: out of the way of 127.0.0.1, 127.0.0.53 (systemd-resolved) and 127.0.1.1 (Debian's own host name). */
const BASE = 0x7f40_0000;
const SIZE = 1 << 22;

/** Whether an address is of the range from which services have theirs. Pure. */
export const isServiceLoopback = (address: string): boolean => {
  const value = parseIpv4(address.replace(/^::ffff:/, ''));
  return value !== undefined && value >= BASE && value < BASE + SIZE;
};

/**
 * The loopback address of a service or replica: the same whenever and wherever it is asked for, as it follows from `owner` (which has
 * the user and stack in it) alone, unless that address is taken; then the next that is free. Linux has all of 127/8 without
 * configuration.
 */
export const chooseLoopback = (owner: string, isTaken: (address: string) => boolean): string => {
  const first = createHash('sha256').update(owner).digest().readUInt32BE(0) % SIZE;
  for (let step = 0; step < SIZE; step += 1) {
    const value = BASE + ((first + step) % SIZE);
    const last = value & 0xff;
    const address = [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, last].join('.');
    // Some programs take .0 and .255 for a network and its broadcast address.
    if (last !== 0 && last !== 255 && !isTaken(address)) {
      return address;
    }
  }
  throw new RangeError('all loopback addresses are taken');
};

/** Whether an address reaches only programs of the same machine. */
export const isLoopback = (address: string | undefined): boolean => address !== undefined && /^(?:::ffff:)?127\.|^::1$/.test(address);
