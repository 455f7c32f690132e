import { networkInterfaces } from 'node:os';
import { describe, expect, test } from 'vitest';
import { allowsTcp, mayResolve, namesAddress } from '../../../net/outbound/match-rule.ts';
import { isNeverDialled, isPrivate } from '../../../net/outbound/never.ts';
import { RateLimit } from '../../../net/outbound/rate.ts';
import type { NetworkPolicy } from '../../../net/types.ts';
import cases from '../support/policy-cases.json' with { type: 'json' };

// The gateway's own test has the same cases: net/gateway/policy_test.go.
const policies = cases.policies as unknown as Record<string, NetworkPolicy>;
const policyOf = (name: string): NetworkPolicy => policies[name] as NetworkPolicy;

describe('rules decide as the gateway does', () => {
  test.each(cases.connections as Array<[string, string, number, string | null, boolean]>)(
    '%s › %s port %d, known as %s: %s',
    (policy, address, port, name, verdict) => {
      expect(allowsTcp(policyOf(policy), { address, port, name: name ?? undefined })).toBe(verdict);
    },
  );
  test.each(cases.names as Array<[string, string, boolean]>)('%s › the name %s may be asked for: %s', (policy, name, verdict) => {
    expect(mayResolve(policyOf(policy), name)).toBe(verdict);
  });
});

test('an address is named by itself or by its range, in a rule that allows', () => {
  const at = (address: string) => ({ address, port: 8001 });
  expect(namesAddress(policyOf('listed'), at('192.0.2.9'))).toBe(true);
  expect(namesAddress(policyOf('listed'), at('10.0.0.1'))).toBe(false);
  expect(namesAddress(policyOf('except'), at('192.0.2.9'))).toBe(false);
});

test('a private range with a port is named for that port only', () => {
  const policy: NetworkPolicy = { default: 'deny', rules: [{ action: 'allow', to: ['10.0.0.0/8'], ports: ['5432'] }] };
  expect([5432, 22].map((port) => namesAddress(policy, { address: '10.0.0.1', port }))).toEqual([true, false]);
});

test('the addresses of this host are no more the internet than private ones', () => {
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  expect(own.length).toBeGreaterThan(0);
  expect(own.filter(({ address }) => !isPrivate(address))).toEqual([]);
});

test.each([
  '127.0.0.1',
  '127.9.9.9',
  '0.0.0.0',
  '169.254.169.254',
  '224.0.0.1',
  '255.255.255.255',
  '::1',
  '::',
  '::ffff:127.0.0.1',
  'fe80::1',
  'ff02::1',
  'nonsense',
])('%s is never dialled', (address) => expect(isNeverDialled(address)).toBe(true));

test.each([
  ['10.1.2.3', true],
  ['172.31.0.1', true],
  ['172.32.0.1', false],
  ['192.168.1.1', true],
  ['100.64.0.1', true],
  ['fd00::1', true],
  ['192.0.2.1', false],
  ['2001:db8::1', false],
])('%s is private: %s', (address, verdict) => {
  expect(isPrivate(address)).toBe(verdict);
  expect(isNeverDialled(address)).toBe(false);
});

test('a rate is a burst, and then so many per second', () => {
  let now = 0;
  const rate = new RateLimit({ perSecond: 10, burst: 3, now: () => now });
  expect([1, 2, 3, 4].map(() => rate.take())).toEqual([true, true, true, false]);
  now = 100;
  expect([rate.take(), rate.take()]).toEqual([true, false]);
  now = 10_000;
  expect([1, 2, 3, 4].map(() => rate.take())).toEqual([true, true, true, false]);
});
