import type { NetworkDetail } from '../../model/types.ts';

/** The default network has no time before anybody has used it: Go's zero, as docker prints it. */
export const created = (time: number): string => (time === 0 ? '0001-01-01T00:00:00Z' : new Date(time).toISOString());

const auxiliary = ({ reserved }: NetworkDetail, six: boolean): object => {
  const own = Object.entries(reserved).filter(([, address]) => address.includes(':') === six);
  return own.length === 0 ? {} : { AuxiliaryAddresses: Object.fromEntries(own) };
};

/** `network inspect`: docker's keys; the driver is what really carries it. */
export const inspectNetwork = (network: NetworkDetail): Record<string, unknown> => ({
  Name: network.name,
  Id: network.id,
  Created: created(network.createdAt),
  Scope: 'local',
  Driver: 'gvproxy',
  EnableIPv4: true,
  EnableIPv6: network.subnet6 !== undefined,
  IPAM: {
    Driver: 'default',
    Options: null,
    Config: [
      {
        Subnet: network.subnet,
        ...(network.range === undefined ? {} : { IPRange: network.range }),
        Gateway: network.gateway,
        ...auxiliary(network, false),
      },
      ...(network.subnet6 === undefined
        ? []
        : [
            {
              Subnet: network.subnet6,
              ...(network.range6 === undefined ? {} : { IPRange: network.range6 }),
              Gateway: network.gateway6,
              ...auxiliary(network, true),
            },
          ]),
    ],
  },
  Internal: network.internal,
  Attachable: false,
  Ingress: false,
  Containers: Object.fromEntries(
    network.members.map(({ id, name, address, address6, mac }) => [
      id,
      {
        Name: name,
        EndpointID: '',
        MacAddress: mac,
        IPv4Address: `${address}/${network.subnet.split('/')[1]}`,
        IPv6Address: address6 === undefined ? '' : `${address6}/${network.subnet6?.split('/')[1]}`,
      },
    ]),
  ),
  Options: network.options,
  Labels: network.labels,
});
