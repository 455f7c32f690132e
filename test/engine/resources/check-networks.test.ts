import { describe, expect, test } from 'vitest';
import type { NetworkConfig, Service, ServiceNetwork } from '../../../compose/model/model.ts';
import { checkServices } from '../../../engine/resources/check-services.ts';
import type { NetworkRow, SharedNetworkRow } from '../../../engine/state/records.ts';
import { projectOf } from '../support/project.ts';

const spec = {
  name: 'front',
  runDir: '',
  log: '',
  subnet: '10.80.0.0/24',
  gateway: '10.80.0.1',
  internal: false,
  mtu: 1500,
  hostAccess: true,
};
const front = { name: 'front', id: 'f', spec, options: { labels: {}, driver: {}, reserved: {} }, record: undefined, createdAt: 1 };
const state = {
  sharedNetworks: (): SharedNetworkRow[] => [front],
  vms: () => [],
  networks: (): NetworkRow[] => [{ stack: 'other', key: 'x', name: 'other_x', spec, configHash: '', record: undefined, createdAt: 1 }],
};

const check = (services: Record<string, Service>, networks: Record<string, Partial<NetworkConfig>> = {}): void =>
  checkServices(
    projectOf(services, {
      networks: Object.fromEntries(Object.entries(networks).map(([key, config]) => [key, { name: `shop_${key}`, ...config }])),
    }),
    Object.keys(services),
    state,
  );

const on = (own: ServiceNetwork | null): Service => ({ networks: { n: own } });
const subnet = { ipam: { config: [{ subnet: '10.90.0.0/24', gateway: '10.90.0.1' }] } };
const both = { enable_ipv6: true, ipam: { config: [{ subnet: '10.90.0.0/24' }, { subnet: 'fd12::/64' }] } };
const external = (name: string) => ({ external: true, name });

describe('networks of a file', () => {
  test.each<[string, Record<string, Service>, Record<string, Partial<NetworkConfig>>]>([
    ['nothing special', { web: on(null) }, { n: {} }],
    [
      'the subnet of a shared network that none of its services is on',
      { web: on(null), db: { networks: { m: null } } },
      { n: { ipam: { config: [{ subnet: '10.80.0.0/16' }] } }, m: external('front') },
    ],
    ['fixed addresses', { web: on({ ipv4_address: '10.90.0.7', ipv6_address: 'fd12::7', mac_address: '02:00:00:00:00:01' }) }, { n: both }],
    ['an external network', { web: on({ ipv4_address: '10.80.0.7' }) }, { n: external('front') }],
    ['the default network by name', { web: on(null) }, { n: external('bridge') }],
    ['the default network by mode', { web: { network_mode: 'bridge', networks: {} } }, {}],
    ['no network', { web: { network_mode: 'none', networks: {} } }, {}],
    ['an MTU', { web: on(null) }, { n: { driver: 'bridge', driver_opts: { 'com.docker.network.driver.mtu': 1400 } } }],
    [
      'an address within the subnet, of a network that is there',
      { web: on(null) },
      { n: { name: 'other_x', ipam: { config: [{ subnet: '10.90.0.7/24', ip_range: '10.90.0.9/28' }] } } },
    ],
    ['what no service uses', { web: on(null) }, { n: {}, m: { driver: 'overlay' } }],
  ])('%s is fine', (_, services, networks) => {
    expect(() => check(services, networks)).not.toThrow();
  });

  test.each<[string, Record<string, Service>, Record<string, Partial<NetworkConfig>>, string, string]>([
    [
      'services.web.networks.n.link_local_ips',
      { web: on({ link_local_ips: ['169.254.1.1'] }) },
      { n: {} },
      'HYPR_UNSUPPORTED',
      'link_local_ips',
    ],
    ['services.web.networks.n.driver_opts', { web: on({ driver_opts: { a: '1' } }) }, { n: {} }, 'HYPR_UNSUPPORTED', 'driver_opts a'],
    ['services.web.networks.n.interface_name', { web: on({ interface_name: 'a/b' }) }, { n: {} }, 'COMPOSE_INVALID', '"a/b"'],
    ['services.web.networks.n.mac_address', { web: on({ mac_address: '01:00:00:00:00:01' }) }, { n: {} }, 'COMPOSE_INVALID', 'MAC'],
    ['services.web.networks.n.ipv4_address', { web: on({ ipv4_address: '10.90.0.7' }) }, { n: {} }, 'COMPOSE_INVALID', 'needs a subnet'],
    ...[{ subnet: '10.90.0.7/24' }, { subnet: '10.90.0.0/24', ip_range: '10.90.0.9/28' }].map(
      (config): [string, Record<string, Service>, Record<string, Partial<NetworkConfig>>, string, string] => [
        'networks.n.ipam',
        { web: on(null) },
        { n: { ipam: { config: [config] } } },
        'NET_ADDRESS',
        'it should be 10.90.0.0/',
      ],
    ),
    [
      'services.web.networks.n.ipv4_address',
      { web: on({ ipv4_address: '10.91.0.7' }) },
      { n: subnet },
      'NET_ADDRESS',
      'not in the network',
    ],
    ['services.web.networks.n.ipv4_address', { web: on({ ipv4_address: '10.90.0.1' }) }, { n: subnet }, 'NET_ADDRESS', 'cannot be given'],
    ['services.web.networks.n.ipv4_address', { web: on({ ipv4_address: '10.90.0.7' }) }, { n: external('front') }, 'NET_ADDRESS', 'not in'],
    ['services.web.networks.n.ipv6_address', { web: on({ ipv6_address: 'fd12::7' }) }, { n: subnet }, 'COMPOSE_INVALID', 'enable_ipv6'],
    ['services.web.networks.n.ipv6_address', { web: on({ ipv6_address: 'fd13::7' }) }, { n: both }, 'NET_ADDRESS', 'not in the network'],
    [
      'services.db.networks.n.ipv4_address',
      { web: on({ ipv4_address: '10.90.0.7' }), db: on({ ipv4_address: '10.90.0.7' }) },
      { n: subnet },
      'COMPOSE_INVALID',
      'services web and db have the same ipv4_address',
    ],
    ['services.web.dns', { web: { ...on(null), dns: ['fd00::1'] } }, { n: {} }, 'HYPR_UNSUPPORTED', 'over IPv4'],
    ['services.web.ports', { web: { network_mode: 'none', ports: [{ target: 80 }] } }, {}, 'COMPOSE_INVALID', 'has no network'],
    ['services.web.network_mode', { web: { network_mode: 'host' } }, {}, 'HYPR_UNSUPPORTED', 'network_mode: host'],
    [
      'networks.n',
      { web: on(null) },
      { n: external('gone') },
      'EXTERNAL_NOT_FOUND',
      'network gone declared as external, but could not be found',
    ],
    ['networks.n', { web: on(null) }, { n: external('other_x') }, 'EXTERNAL_NOT_FOUND', 'network other_x'],
    ['networks.n', { web: on(null) }, { n: { name: 'front' } }, 'COMPOSE_INVALID', 'was not made by this stack'],
    ['networks.n.driver', { web: on(null) }, { n: { driver: 'overlay' } }, 'HYPR_UNSUPPORTED', 'driver: overlay'],
    ['networks.n.driver_opts.parent', { web: on(null) }, { n: { driver_opts: { parent: 'eth0' } } }, 'HYPR_UNSUPPORTED', 'parent'],
    ['networks.n.enable_ipv4', { web: on(null) }, { n: { enable_ipv4: false } }, 'HYPR_UNSUPPORTED', 'enable_ipv4'],
    ['networks.n.ipam.driver', { web: on(null) }, { n: { ipam: { driver: 'dhcp' } } }, 'HYPR_UNSUPPORTED', 'dhcp'],
    [
      'networks.n.ipam.options.pool',
      { web: on(null) },
      { n: { ipam: { options: { pool: 'a' } } } },
      'HYPR_UNSUPPORTED',
      'ipam.options pool',
    ],
    [
      'networks.n.ipam.config.1',
      { web: on(null) },
      { n: { ipam: { config: [{ subnet: '10.1.0.0/24' }, { subnet: '10.2.0.0/24' }] } } },
      'HYPR_UNSUPPORTED',
      'more than one subnet',
    ],
    ['networks.n.ipam', { web: on(null) }, { n: { ipam: { config: [{ subnet: 'fd00::/64' }] } } }, 'COMPOSE_INVALID', 'enable_ipv6'],
    ['networks.n.ipam', { web: on(null) }, { n: { ipam: { config: [{ gateway: '10.1.0.1' }] } } }, 'COMPOSE_INVALID', 'need a subnet'],
    [
      'networks.n.ipam',
      { web: on(null) },
      { n: { ipam: { config: [{ subnet: '10.1.0.0/24', ip_range: '10.2.0.0/28' }] } } },
      'NET_ADDRESS',
      'ip_range',
    ],
    [
      'networks.n.ipam',
      { web: on(null) },
      { n: { ipam: { config: [{ subnet: '10.1.0.0/24', aux_addresses: { a: '10.2.0.1' } }] } } },
      'NET_ADDRESS',
      '10.2.0.1',
    ],
    ['networks.m.ipam', { web: { networks: { n: null, m: null } } }, { n: subnet, m: subnet }, 'NET_ADDRESS', 'overlapping subnets'],
    [
      'networks.n.ipam',
      { web: { networks: { n: null, m: null } } },
      { n: { ipam: { config: [{ subnet: '10.80.0.0/16' }] } }, m: external('front') },
      'NET_ADDRESS',
      'overlaps 10.80.0.0/24',
    ],
  ])('%s is refused at its place (%#)', (path, services, networks, code, why) => {
    const attempt = (): void => check(services, networks);
    expect(attempt).toThrow(why);
    expect(attempt).toThrow(expect.objectContaining({ code, path: path.split('.') }));
  });
});
