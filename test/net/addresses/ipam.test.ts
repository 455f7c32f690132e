import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allocateAddress, chooseSubnet, chooseSubnetFrom, hostAddress, macAddress, prefixLength } from '../../../net/addresses/ipam.ts';
import { contains, formatIpv4, formatSubnet, overlaps, parseIpv4, parseSubnet, type Subnet } from '../../../net/addresses/ipv4.ts';
import { runs } from '../../support/seed.ts';

const subnet = (text: string): Subnet => parseSubnet(text) ?? expect.fail(text);

describe('chooseSubnet', () => {
  it('takes the default, then its free neighbours', () => {
    expect(chooseSubnetFrom({ taken: [] }, [])).toEqual({ subnet: '192.168.127.0/24', gateway: '192.168.127.1' });
    expect(chooseSubnetFrom({ taken: ['192.168.127.0/24'] }, [subnet('192.168.128.0/23')]).subnet).toBe('192.168.130.0/24');
  });

  it('moves to 10.89/16 when the host routes all of 192.168/16, and says when nothing is left', () => {
    expect(chooseSubnetFrom({ taken: [] }, [subnet('192.168.0.0/16')]).subnet).toBe('10.89.0.0/24');
    expect(() => chooseSubnetFrom({ taken: ['0.0.0.0/0'] }, [])).toThrow(expect.objectContaining({ code: 'NET_EXHAUSTED' }));
  });

  it('keeps a wanted subnet and gateway, host bits cleared', () => {
    expect(chooseSubnetFrom({ wanted: '10.90.1.7/16', gateway: '10.90.0.9', taken: [] }, [])).toEqual({
      subnet: '10.90.0.0/16',
      gateway: '10.90.0.9',
    });
    expect(chooseSubnetFrom({ wanted: '240.7.0.0/16', taken: [] }, [])).toEqual({ subnet: '240.7.0.0/16', gateway: '240.7.0.1' });
  });

  it.each([
    [{ wanted: '10.0.0.0/30', taken: [] }, '/8 to /29'],
    [{ wanted: 'fd00::/64', taken: [] }, 'not an IPv4 subnet'],
    [{ wanted: '127.0.0.0/8', taken: [] }, 'no machine can have an address of 127.0.0.0/8'],
    [{ wanted: '0.0.0.0/8', taken: [] }, 'of 0.0.0.0/8'],
    [{ wanted: '224.0.0.0/24', taken: [] }, 'of 224.0.0.0/4'],
    [{ wanted: '255.255.255.0/24', taken: [] }, 'of 255.255.255.255/32'],
    [{ wanted: '10.0.0.0/24', taken: ['10.0.0.0/8'] }, 'overlaps 10.0.0.0/8'],
    [{ wanted: '10.0.0.0/24', gateway: '10.0.1.1', taken: [] }, 'not a usable address'],
    [{ wanted: '10.0.0.0/24', gateway: '10.0.0.255', taken: [] }, 'not a usable address'],
    [{ wanted: '10.0.0.0/24', gateway: 'gw', taken: [] }, 'not an IPv4 address'],
  ])('refuses %j', (request, message) => {
    expect(() => chooseSubnetFrom(request, [])).toThrow(
      expect.objectContaining({ code: 'NET_ADDRESS', message: expect.stringContaining(message) }),
    );
  });

  it('never overlaps what it was told to avoid', () => {
    const any = fc
      .tuple(fc.nat(0xffffffff), fc.integer({ min: 10, max: 30 }))
      .map(([address, prefix]) => subnet(`${formatIpv4(address)}/${prefix}`));
    fc.assert(
      fc.property(fc.array(any, { maxLength: 8 }), (routes) => {
        const chosen = subnet(chooseSubnetFrom({ taken: routes.slice(0, 2).map(formatSubnet) }, routes).subnet);
        return routes.every((route) => !overlaps(route, chosen));
      }),
      runs(200),
    );
  });

  it('reads the routes of this host', async () => {
    expect((await chooseSubnet({ taken: [] })).subnet).toMatch(/^(192\.168|10)\.\d+\.\d+\.?\d*\/24$/);
  });
});

describe('allocateAddress', () => {
  const network = { subnet: '10.89.0.0/24', gateway: '10.89.0.1' };

  it('gives the lowest free one from .3 and skips gateway, host and reserved ones', () => {
    expect(allocateAddress({ ...network, taken: [] })).toBe('10.89.0.3');
    expect(allocateAddress({ ...network, taken: ['10.89.0.3', '10.89.0.5'] })).toBe('10.89.0.4');
    expect(allocateAddress({ ...network, gateway: '10.89.0.3', taken: [], reserved: ['10.89.0.4'] })).toBe('10.89.0.5');
  });

  it('is exhausted after the last usable one and says so', () => {
    const tiny = { subnet: '10.0.0.0/29', gateway: '10.0.0.1' };
    const taken: string[] = [];
    for (let count = 0; count < 3; count += 1) {
      taken.push(allocateAddress({ ...tiny, taken }));
    }
    expect(taken).toEqual(['10.0.0.3', '10.0.0.4', '10.0.0.5']);
    expect(() => allocateAddress({ ...tiny, taken })).toThrow(expect.objectContaining({ code: 'NET_EXHAUSTED' }));
  });

  it('stays in ip_range', () => {
    expect(allocateAddress({ ...network, taken: [], range: '10.89.0.64/27' })).toBe('10.89.0.64');
    expect(() => allocateAddress({ ...network, taken: [], range: '10.90.0.0/27' })).toThrow('not inside the subnet');
    expect(() => allocateAddress({ ...network, taken: ['10.89.0.64', '10.89.0.65'], range: '10.89.0.64/31' })).toThrow(
      'no address is left in 10.89.0.64/31',
    );
  });

  it.each([
    ['10.89.1.4', 'not in the network'],
    ['10.89.0.0', 'cannot be given'],
    ['10.89.0.1', 'cannot be given'],
    ['10.89.0.255', 'cannot be given'],
    ['10.89.0.7', 'already in use'],
    ['10.89.0.07', 'not an IPv4 address'],
  ])('refuses the fixed address %s', (wanted, message) => {
    expect(() => allocateAddress({ ...network, taken: ['10.89.0.7'], wanted })).toThrow(
      expect.objectContaining({ code: 'NET_ADDRESS', message: expect.stringContaining(message) }),
    );
  });

  it('gives the host address away only where it has no use', () => {
    expect(allocateAddress({ ...network, taken: [], wanted: '10.89.0.254' })).toBe('10.89.0.254');
    expect(() => allocateAddress({ ...network, taken: [], wanted: '10.89.0.254', hostAccess: true })).toThrow('cannot be given');
  });
});

it('has one host address per network that is never the gateway', () => {
  expect(hostAddress({ subnet: '192.168.127.0/24', gateway: '192.168.127.1' })).toBe('192.168.127.254');
  expect(hostAddress({ subnet: '10.0.0.0/29', gateway: '10.0.0.6' })).toBe('10.0.0.5');
  expect(prefixLength('10.0.0.0/29')).toBe(29);
});

it('makes MAC addresses that are stable, unicast and locally administered', () => {
  expect(macAddress('shop/db-1/default')).toBe(macAddress('shop/db-1/default'));
  fc.assert(
    fc.property(fc.string(), (text) => {
      const first = Number.parseInt(macAddress(text).slice(0, 2), 16);
      return /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(macAddress(text)) && (first & 3) === 2;
    }),
    runs(200),
  );
});

it('parses addresses strictly and without loss', () => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), (value) => parseIpv4(formatIpv4(value)) === value),
    runs(300),
  );
  for (const text of ['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', ' 1.2.3.4', '1.2.3.4\n', '1.2.3.-4', '0x1.2.3.4']) {
    expect(parseIpv4(text)).toBeUndefined();
  }
  for (const text of ['1.2.3.4', '1.2.3.4/33', '1.2.3.4/', '1.2.3.4/8/8', '1.2.3.4/+8']) {
    expect(parseSubnet(text)).toBeUndefined();
  }
  expect(contains(subnet('0.0.0.0/0'), 0xffffffff)).toBe(true);
});
