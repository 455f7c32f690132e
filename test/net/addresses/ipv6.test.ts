import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseIpv6 } from '../../../base/ipv6.ts';
import { allocateAddress6, chooseSubnet6 } from '../../../net/addresses/ipam6.ts';
import { contains6, formatIpv6, formatSubnet6, overlaps6, parseSubnet6 } from '../../../net/addresses/ipv6.ts';
import { runs } from '../../support/seed.ts';

describe('IPv6 addresses', () => {
  test.each([
    ['::', 0n],
    ['::1', 1n],
    ['fd00::', 0xfd00n << 112n],
    ['1:2:3:4:5:6:7:8', 0x00010002000300040005000600070008n],
    ['::ffff:1.2.3.4', 0xffff01020304n],
  ])('%s is read', (text, value) => {
    expect(parseIpv6(text)).toBe(value);
  });

  test.each(['', '1', 'fe80::1%eth0', '1::2::3', '1.2.3.4', 'g::', '::/64'])('%s is none', (text) => {
    expect(parseIpv6(text)).toBeUndefined();
  });

  test('what is written is read again', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), (value) => parseIpv6(formatIpv6(value)) === value),
      runs(200),
    );
  });

  test('subnets lose their host bits, contain and overlap', () => {
    const subnet = parseSubnet6('fd00:0:0:7::9/64');
    expect(subnet && formatSubnet6(subnet)).toBe('fd00:0:0:7::/64');
    expect(subnet && contains6(subnet, parseIpv6('fd00:0:0:7:ffff::') ?? 0n)).toBe(true);
    expect(subnet && overlaps6(subnet, { base: 0xfd00n << 112n, prefix: 16 })).toBe(true);
    expect(subnet && overlaps6(subnet, { base: 0xfd01n << 112n, prefix: 16 })).toBe(false);
    expect(parseSubnet6('fd00::/129')).toBeUndefined();
  });
});

describe('IPv6 of a network', () => {
  const network = { subnet6: 'fd00::/64', gateway6: 'fd00::1', subnet: '10.9.0.0/16' };

  test('is a /64 for private use that follows from its seed', () => {
    const one = chooseSubnet6({ taken: [], seed: 'a' });
    expect(one).toEqual(chooseSubnet6({ taken: [], seed: 'a' }));
    expect(one.subnet6).toMatch(/^fd[0-9a-f]{2}:.*::\/64$/);
    expect(one.gateway6).toBe(`${one.subnet6.replace('/64', '')}1`);
    expect(chooseSubnet6({ taken: [], seed: 'b' }).subnet6).not.toBe(one.subnet6);
  });

  test('addresses end as the IPv4 address does, and make way for fixed ones', () => {
    expect(allocateAddress6({ ...network, address: '10.9.0.3', taken: [] })).toBe('fd00::3');
    expect(allocateAddress6({ ...network, address: '10.9.1.3', taken: [] })).toBe('fd00::103');
    expect(allocateAddress6({ ...network, address: '10.9.0.3', taken: ['fd00::3'] })).toBe('fd00::1:0:3');
    expect(allocateAddress6({ ...network, address: '10.9.0.3', taken: [], wanted: 'FD00::AB' })).toBe('fd00::ab');
  });

  test('goes round a small subnet once, whatever its IPv4 address ends in', () => {
    const small = { subnet6: 'fd00::/120', gateway6: 'fd00::1', subnet: '10.9.0.0/16' };
    expect(allocateAddress6({ ...small, address: '10.9.1.250', taken: ['fd00::fa'] })).toBe('fd00::fb');
    const taken = Array.from({ length: 253 }, (_, index) => `fd00::${(index + 3).toString(16)}`);
    expect(allocateAddress6({ ...small, address: '10.9.0.9', taken })).toBe('fd00::2');
    expect(() => allocateAddress6({ ...small, address: '10.9.0.9', taken: [...taken, 'fd00::2'] })).toThrow('no address is left');
  });

  test('gives out addresses of a range only, and none that is reserved', () => {
    const limited = { ...network, range6: 'fd00::a0/124', reserved: ['fd00::a3', '10.9.0.9'] };
    expect(allocateAddress6({ ...limited, address: '10.9.0.3', taken: [] })).toBe('fd00::a4');
    expect(allocateAddress6({ ...limited, address: '10.9.0.31', taken: ['fd00::af'] })).toBe('fd00::a0');
    const all = Array.from({ length: 16 }, (_, index) => `fd00::a${index.toString(16)}`);
    expect(() => allocateAddress6({ ...limited, address: '10.9.0.3', taken: all })).toThrow('no address is left in fd00::a0/124');
    expect(() => allocateAddress6({ ...limited, range6: 'fd01::/124', address: '10.9.0.3', taken: [] })).toThrow('is not inside');
  });

  test.each([
    [{ wanted: '10.0.0.0/8' }, 'is not an IPv6 subnet'],
    [{ wanted: 'fd00::/127' }, 'it must be'],
    [{ wanted: 'ff02::/64' }, 'no machine can have an address of ff00::/8'],
    [{ wanted: 'fe80::/64' }, 'of fe80::/10'],
    [{ wanted: '::/96' }, 'of ::/8'],
    [{ wanted: 'fd00::/64', gateway: 'fd01::1' }, 'is not a usable address'],
    [{ wanted: 'fd00:0:0:1::/64', taken: ['fd00::/48'] }, 'overlaps fd00::/48'],
  ])('%o is refused', (request, why) => {
    expect(() => chooseSubnet6({ taken: [], seed: '', ...request })).toThrow(why);
  });

  test.each([
    ['fd01::3', 'not in the network'],
    ['fd00::1', 'already in use'],
    ['10.0.0.3', 'not an IPv6 address'],
  ])('a fixed address %s is refused', (wanted, why) => {
    const network = { subnet6: 'fd00::/64', gateway6: 'fd00::1', subnet: '10.9.0.0/16', address: '10.9.0.3' };
    expect(() => allocateAddress6({ ...network, taken: [], wanted })).toThrow(why);
  });
});
