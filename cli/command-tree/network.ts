import type { CommandSpec } from '../core/command-spec.ts';
import { bool, int, list, string } from '../core/flag-spec.ts';

const networkLs: CommandSpec = {
  name: 'ls',
  usage: '[OPTIONS]',
  summary: 'List networks: the default one, those of all stacks, those made by create',
  flags: [
    string('format', 'table, json, or a Go template', { value: 'FORMAT' }),
    list('f,filter', 'Only those that match (name=, id=, label=, type=, dangling=, driver=, scope=)', { value: 'KEY=VALUE' }),
    bool('q,quiet', 'Print ids only'),
    bool('no-trunc', 'Do not shorten ids'),
  ],
  maxArgs: 0,
  load: async () => (await import('../commands/network.ts')).runNetworkLs,
};

const networkCreate: CommandSpec = {
  name: 'create',
  usage: '[OPTIONS] NAME',
  summary: 'Make a network that several stacks and hypr run can use',
  examples: [
    'hypr network create front',
    'hypr network create --subnet 10.90.0.0/24 --internal back',
    'hypr run -d --name db --network front postgres',
  ],
  flags: [
    list('subnet', 'Subnet in CIDR form', { value: 'SUBNET' }),
    list('gateway', 'Address of the gateway', { value: 'ADDRESS' }),
    list('ip-range', 'Give out addresses of this part of the subnet only', { value: 'SUBNET' }),
    list('aux-address', 'Never give out this address', { value: 'NAME=ADDRESS' }),
    bool('internal', 'Allow no connections out of the network'),
    bool('ipv6', 'Give out IPv6 addresses as well'),
    bool('ipv4', 'IPv4 addresses (always)', { hidden: true }),
    list('label', 'Label of the network', { value: 'KEY=VALUE' }),
    string('d,driver', 'bridge', { value: 'DRIVER' }),
    list('o,opt', 'Option of the driver: com.docker.network.driver.mtu=N', { value: 'KEY=VALUE' }),
    bool('attachable', 'For swarm', { hidden: true }),
    string('ipam-driver', 'Driver of addresses', { hidden: true, refused: 'addresses are given out by hypr' }),
    list('ipam-opt', 'Option of the driver of addresses', { hidden: true, refused: 'addresses are given out by hypr' }),
    bool('ingress', 'For swarm', { hidden: true, refused: 'there is no swarm' }),
    bool('config-only', 'For swarm', { hidden: true, refused: 'there is no swarm' }),
    string('config-from', 'For swarm', { hidden: true, refused: 'there is no swarm' }),
    string('scope', 'local', { hidden: true, refused: 'networks are local' }),
  ],
  minArgs: 1,
  maxArgs: 1,
  load: async () => (await import('../commands/network-change.ts')).runNetworkCreate,
};

const networkRm: CommandSpec = {
  name: 'rm',
  usage: '[OPTIONS] NETWORK [NETWORK...]',
  summary: 'Remove networks that were made by create',
  flags: [bool('f,force', 'Remove networks that machines are on, and ignore networks that do not exist')],
  minArgs: 1,
  load: async () => (await import('../commands/network-change.ts')).runNetworkRm,
};

const networkCapture: CommandSpec = {
  name: 'capture',
  usage: '[OPTIONS] NETWORK',
  summary: 'Record the packets of a network as a pcap file, until Ctrl-C',
  examples: ['hypr network capture shop_default -w shop.pcap', 'hypr network capture bridge | tcpdump -n -r -'],
  flags: [
    string('w,write', 'File to write (default: standard output)', { value: 'FILE' }),
    int('s,snapshot-length', 'Record at most this many bytes of each packet', { value: 'BYTES' }),
  ],
  minArgs: 1,
  maxArgs: 1,
  load: async () => (await import('../commands/network-change.ts')).runNetworkCapture,
};

/** Docker's commands on networks, and `capture`. */
export const network: CommandSpec = {
  name: 'network',
  usage: 'COMMAND',
  summary: 'Commands on networks: ls, inspect, create, rm, prune, connect, disconnect, capture',
  commands: [
    networkLs,
    { ...networkLs, name: 'list', hidden: true },
    {
      name: 'inspect',
      usage: '[OPTIONS] NETWORK [NETWORK...]',
      summary: 'Print details of networks, and the machines on them, as JSON',
      flags: [string('f,format', 'json, or a Go template', { value: 'FORMAT' }), bool('v,verbose', 'For swarm', { hidden: true })],
      minArgs: 1,
      load: async () => (await import('../commands/network.ts')).runNetworkInspect,
    },
    networkCreate,
    networkRm,
    { ...networkRm, name: 'remove', hidden: true },
    {
      name: 'prune',
      usage: '[OPTIONS]',
      summary: 'Remove networks made by create that no machine is on',
      flags: [list('filter', 'Only those that match (until=, label=, label!=)', { value: 'KEY=VALUE' }), bool('f,force', 'Do not ask')],
      maxArgs: 0,
      load: async () => (await import('../commands/network-change.ts')).runNetworkPrune,
    },
    networkCapture,
    {
      name: 'connect',
      usage: '[OPTIONS] NETWORK REPLICA',
      summary: 'Put a stopped replica on a network, from its next start on',
      flags: [
        string('ip', 'IPv4 address', { value: 'ADDRESS' }),
        string('ip6', 'IPv6 address', { value: 'ADDRESS' }),
        list('alias', 'Further name on the network', { value: 'NAME' }),
        list('link', 'Link', { refused: 'replicas of a network reach each other by name; use --alias' }),
        list('link-local-ip', 'Link-local address', { refused: 'the network carries only the addresses that it gave out' }),
        list('driver-opt', 'Option of the driver', { refused: "docker's drivers are not used" }),
        int('gw-priority', 'Which network has the default route', { refused: 'say gw_priority in the Compose file' }),
      ],
      minArgs: 2,
      maxArgs: 2,
      load: async () => (await import('../commands/network-change.ts')).runNetworkConnect,
    },
    {
      name: 'disconnect',
      usage: '[OPTIONS] NETWORK REPLICA',
      summary: 'Take a stopped replica from a network',
      flags: [bool('f,force', 'Accepted; changes nothing', { hidden: true })],
      minArgs: 2,
      maxArgs: 2,
      load: async () => (await import('../commands/network-change.ts')).runNetworkDisconnect,
    },
  ],
};
