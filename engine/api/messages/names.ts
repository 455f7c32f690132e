import type { PublishedName, PublishedNames } from '../../model/published-names.ts';
import type { NameJson, NamesResponseJson } from '../gen/hypr_pb.ts';
import { neededText, present, type Sent } from './values.ts';

/** Conversion of a stack's names to messages and back. Reading throws SUPERVISOR_VERSION. */

export const namesJson = ({ stack, names, problems }: PublishedNames): Sent<NamesResponseJson> => ({
  stack,
  names: names.map(({ https, ...name }) => ({ ...name, noHttps: !https })),
  problems,
});

export const namesFrom = (json: NamesResponseJson): PublishedNames => ({
  stack: neededText(json.stack, 'the stack of names'),
  names: (json.names ?? []).map(nameFrom),
  problems: json.problems ?? [],
});

const nameFrom = (json: NameJson): PublishedName => ({
  host: neededText(json.host, 'a name'),
  state: json.state ?? '',
  address: neededText(json.address, 'the address of a name'),
  isBound: json.isBound ?? false,
  ports: (json.ports ?? []).map(({ port = 0, protocol }) => ({
    port,
    protocol: protocol === 'http' || protocol === 'tcp' ? protocol : 'unknown',
  })),
  https: json.noHttps !== true,
  targets: (json.targets ?? []).map(({ socket = '', address = '', ports = [] }) => ({ socket, address, ports })),
  isExtra: json.isExtra ?? false,
  owner: json.owner ?? '',
  ...present({ service: json.service, replica: json.replica, health: json.health, webPort: json.webPort, hostHeader: json.hostHeader }),
});
