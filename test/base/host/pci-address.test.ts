import { expect, test } from 'vitest';
import { pciAddress } from '../../../base/host/pci-address.ts';

test.each([
  ['0000:01:00.0', '0000:01:00.0'],
  ['01:00.0', '0000:01:00.0'],
  ['0000:0A:1F.7', '0000:0a:1f.7'],
  ['10000:e1:00.0', '10000:e1:00.0'],
  ['0000:01:00.8', undefined],
  ['0000:01:20.0', undefined],
  ['1:0.0', undefined],
  ['0000:01:00.0,x-pci=y', undefined],
  ['../0000:01:00.0', undefined],
  ['0000:01:00.0\n', undefined],
])('%j is %s', (text, address) => {
  expect(pciAddress(text)).toBe(address);
});
