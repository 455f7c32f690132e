import { readFile } from 'node:fs/promises';
import { HyprError } from '../../base/errors.ts';
import type { PortHolder, PublishedPort } from '../types.ts';
import { findPortHolder } from './port-holder.ts';

export type HostPort = Pick<PublishedPort, 'protocol' | 'hostAddress' | 'hostPort'>;

/** `127.0.0.1:80`, `[::1]:80`. */
export const formatEndpoint = ({ address, port }: { address: string; port: number }): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

export const formatPort = (port: HostPort): string =>
  `${formatEndpoint({ address: port.hostAddress, port: port.hostPort })}/${port.protocol}`;

/** NET_PORT_IN_USE with the holder's name, looked up now. */
export const portInUse = async (port: HostPort): Promise<HyprError> => {
  const holder = await findPortHolder(port.hostPort, port.protocol);
  return new HyprError(
    'NET_PORT_IN_USE',
    `port ${formatPort(port)} is already in use${holder === undefined ? '' : ` by ${describeHolder(holder)}`}`,
    {
      hint:
        holder?.stack === undefined
          ? 'stop that program, publish another host port, or let hypr choose one: hypr up --ports auto'
          : `stop it with: hypr compose -p ${holder.stack} down, or let hypr choose another port: hypr up --ports auto`,
    },
  );
};

/** NET_PORT_DENIED with the setting of the host that would allow it. */
export const portDenied = async (port: HostPort): Promise<HyprError> => {
  const first = await firstUnprivilegedPort();
  return new HyprError(
    'NET_PORT_DENIED',
    `port ${formatPort(port)} may not be opened by a plain user: this host allows ports from ${first}`,
    {
      hint: `publish a port from ${first}, or allow it for everybody with: sudo sysctl net.ipv4.ip_unprivileged_port_start=${port.hostPort}`,
    },
  );
};

const describeHolder = (holder: PortHolder): string => {
  if (holder.stack !== undefined) {
    return `stack ${holder.stack}${holder.service === undefined ? '' : `, service ${holder.service}`}`;
  }
  const name = holder.command ?? 'a process';
  if (holder.pid !== undefined) {
    return `${name} (pid ${holder.pid})`;
  }
  return holder.uid === undefined ? 'a process that cannot be seen from here' : `a process of user id ${holder.uid}`;
};

const firstUnprivilegedPort = async (): Promise<number> => {
  try {
    return Number.parseInt(await readFile('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'), 10) || 1024;
  } catch {
    return 1024;
  }
};
