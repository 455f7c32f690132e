import { readFile } from 'node:fs/promises';
import { isServiceLoopback } from '../../addresses/loopback.ts';
import { parseSocketTable } from '../../addresses/proc-net.ts';
import type { Peer } from '../http/types.ts';

/**
 * Whether the other end of a loopback connection is a program of this user or of root: the index page is not for other users of
 * this host. Linux says who owns a socket; elsewhere that is not known, and everybody may read it. What comes by a service's own
 * address was passed on by a supervisor, for nobody knows whom.
 */
export const isOfThisUser = async (peer: Peer): Promise<boolean> => {
  if (isServiceLoopback(peer.address ?? '')) {
    return false;
  }
  const me = process.getuid?.();
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'latin1').catch(() => undefined)));
  const [first] = tables;
  if (me === undefined || first === undefined) {
    return true;
  }
  return findOwners(tables, peer).some((uid) => uid === me || uid === 0);
};

/** User ids of the sockets that are the client's end of this very connection: all four of its addresses and ports count. */
export const findOwners = (tables: ReadonlyArray<string | undefined>, { address, port, localAddress, localPort }: Peer): number[] => {
  const [client, ours] = [tableAddress(address), tableAddress(localAddress)];
  return tables
    .flatMap((text) => parseSocketTable(text ?? ''))
    .filter((row) => row.port === port && row.remotePort === localPort && row.state !== TIME_WAIT)
    .filter((row) => tableAddress(row.address) === client && tableAddress(row.remoteAddress) === ours)
    .map((row) => row.uid);
};

/** One spelling for each loopback address; an IPv4 address in a socket of IPv6 is that IPv4 address. */
const tableAddress = (address: string | undefined): string | undefined => {
  if (address === '::1') {
    return '0:0:0:0:0:0:0:1';
  }
  const mapped = /^0:0:0:0:0:ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(address ?? '');
  if (mapped === null) {
    return address?.replace(/^::ffff:/, '');
  }
  const words = [mapped[1], mapped[2]].map((word) => Number.parseInt(word ?? '', 16));
  return words.flatMap((word) => [word >> 8, word & 0xff]).join('.');
};

/** The kernel keeps no owner for these. */
const TIME_WAIT = 6;
