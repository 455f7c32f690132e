import { isIP } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isIpAddress } from '../../base/ip-address.ts';

const octet = fc.oneof(fc.nat(300).map(String), fc.constantFrom('', '00', '01', '0x1', '+1', ' 1', '1\n', '٣'));
const dotted = fc.array(octet, { minLength: 3, maxLength: 5 }).map((octets) => octets.join('.'));

test('an address › is what Node takes for one', () => {
  expect(['127.0.0.1', '255.255.255.255', '::1', 'fe80::1', '1.2.3', '1.2.3.4.', '256.0.0.1', ''].map(isIpAddress)).toEqual([
    true,
    true,
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
  fc.assert(
    fc.property(fc.oneof(dotted, fc.ipV4(), fc.ipV6(), fc.string()), (text) => {
      expect(isIpAddress(text)).toBe(isIP(text) !== 0);
    }),
  );
});
