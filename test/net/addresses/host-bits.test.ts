import { expect, test } from 'vitest';
import { refuseHostBits } from '../../../net/addresses/host-bits.ts';

test.each([
  ['10.1.2.3/24', '10.1.2.0/24'],
  ['10.1.2.0/8', '10.0.0.0/8'],
  ['0.0.0.1/0', '0.0.0.0/0'],
  ['fd00::1/64', 'fd00::/64'],
  ['fd00:0:0:1::/48', 'fd00::/48'],
])('%s is refused, with what it should be', (text, right) => {
  expect(() => refuseHostBits('subnet', text)).toThrow(`invalid subnet ${text}: it should be ${right}`);
});

test.each([
  undefined,
  '10.1.2.0/24',
  '10.1.2.3/32',
  '0.0.0.0/0',
  'fd00::/64',
  'fd00::1/128',
  'FD00:0::/64',
  'nothing',
  '10.1.2.3/99',
  '10.1.2.3',
])('%s has none, or is for others to refuse', (text) => {
  expect(() => refuseHostBits('ip-range', text)).not.toThrow();
});
