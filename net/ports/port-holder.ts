import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { processesWith } from '../../base/host/open-files.ts';
import { parseSocketTable, type SocketRow } from '../addresses/proc-net.ts';
import type { PortHolder } from '../types.ts';

const LISTEN = 10;

/**
 * Finds the process that listens on a TCP port, or has bound a UDP port, of this host (any address). Undefined when
 * there is none, or when this is not Linux. Of other users' processes only the user id is known.
 */
export const findPortHolder = async (port: number, protocol: 'tcp' | 'udp'): Promise<PortHolder | undefined> => {
  const tables = await Promise.all([protocol, `${protocol}6`].map((name) => readOr(`/proc/net/${name}`, '')));
  const rows = tables.flatMap(parseSocketTable).filter((row) => row.port === port && (protocol === 'udp' || row.state === LISTEN));
  const [first] = rows;
  if (first === undefined) {
    return undefined;
  }
  const pid = await findProcess(rows);
  return { uid: first.uid, ...(pid === undefined ? {} : { pid, ...(await commandOf(pid)) }) };
};

const findProcess = async (rows: readonly SocketRow[]): Promise<number | undefined> => {
  const links = new Set(rows.map((row) => `socket:[${row.inode}]`));
  for await (const pid of processesWith((link) => links.has(link))) {
    return pid;
  }
  return undefined;
};

/** The program's name without its arguments, which may contain secrets. */
const commandOf = async (pid: number): Promise<{ command?: string }> => {
  const [program] = (await readOr(`/proc/${pid}/cmdline`, '')).split('\0');
  const name = basename(program ?? '') || (await readOr(`/proc/${pid}/comm`, '')).trim();
  const clean = name.replace(/[^\x20-\x7e]/g, '?').slice(0, 64);
  return clean === '' ? {} : { command: clean };
};

// Processes may exit while they are read, and other users' cannot be read: both count as absent.
const readOr = (path: string, other: string): Promise<string> => readFile(path, 'latin1').catch(() => other);
