import { readFile } from 'node:fs/promises';
import { parseSocketTable } from '../../addresses/proc-net.ts';

/** The two ports of a loopback connection: the client's and ours. */
export interface Peer {
  readonly port: number | undefined;
  readonly localPort: number | undefined;
}

/**
 * Whether the other end of a loopback connection is a program of this user or of root: the index page is not for other users of
 * this host. Linux says who owns a socket; elsewhere that is not known, and everybody may read it.
 */
export const isOfThisUser = async ({ port, localPort }: Peer): Promise<boolean> => {
  const me = process.getuid?.();
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'latin1').catch(() => undefined)));
  const [first] = tables;
  if (me === undefined || first === undefined) {
    return true;
  }
  return findOwners(tables, port, localPort).some((uid) => uid === me || uid === 0);
};

/** User ids of the sockets that connect from one port to the other. */
export const findOwners = (tables: ReadonlyArray<string | undefined>, port: number | undefined, localPort: number | undefined): number[] =>
  tables
    .flatMap((text) => parseSocketTable(text ?? ''))
    .filter((row) => row.port === port && row.remotePort === localPort && row.state !== TIME_WAIT)
    .map((row) => row.uid);

/** The kernel keeps no owner for these. */
const TIME_WAIT = 6;
