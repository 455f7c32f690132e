import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { EventBus } from '../../../engine/logs/bus.ts';
import { Refusals } from '../../../engine/logs/refusals.ts';
import type { Refusal } from '../../../engine/model/events.ts';
import type { NetworkEvent } from '../../../net/types.ts';

const noName = (): undefined => undefined;

let told: Refusal[];
let refusals: Refusals;

beforeEach(() => {
  vi.useFakeTimers();
  told = [];
  const bus = new EventBus();
  bus.subscribe((event) => event.type === 'refusal' && told.push(event.refusal));
  refusals = new Refusals({ bus, serviceOf: (replica) => (replica === 'shop-web-1' ? 'web' : undefined) });
});
afterEach(() => vi.useRealTimers());

const refused = (part: Partial<NetworkEvent>): NetworkEvent => ({
  event: 'refused',
  machine: 'shop-web-1',
  protocol: 'tcp',
  to: '192.0.2.9:443',
  why: 'policy',
  count: 1,
  ...part,
});

test('a refusal is told at once, and what follows within a minute is told together after it', () => {
  refusals.tellOf(refused({ name: 'api.example.com' }), noName);
  refusals.tellOf(refused({ name: 'api.example.com', count: 4 }), noName);
  refusals.tellOf(refused({ name: 'api.example.com', count: 2 }), noName);
  expect(told).toEqual([
    {
      replica: 'shop-web-1',
      service: 'web',
      rule: 'egress',
      protocol: 'tcp',
      to: '192.0.2.9:443',
      name: 'api.example.com',
      count: 1,
      total: 1,
    },
  ]);
  vi.advanceTimersByTime(60_000);
  expect(told.slice(1).map(({ count, total }) => [count, total])).toEqual([[6, 7]]);
  vi.advanceTimersByTime(120_000);
  expect(told).toHaveLength(2);
  refusals.tellOf(refused({ name: 'api.example.com' }), noName);
  expect(told[2]).toMatchObject({ count: 1, total: 8 });
});

test('many destinations are told together, those of another machine are not', () => {
  for (let port = 1; port <= 500; port += 1) {
    refusals.tellOf(refused({ to: `192.0.2.9:${port}` }), noName);
  }
  expect(told).toHaveLength(17);
  expect(told[16]).toEqual({ replica: 'shop-web-1', service: 'web', rule: 'egress', protocol: '', count: 1, total: 17 });
  refusals.tellOf(refused({ machine: 'shop-db-1' }), noName);
  expect(told[17]).toMatchObject({ replica: 'shop-db-1', service: '', total: 1 });
  vi.advanceTimersByTime(60_000);
  expect(told[18]).toMatchObject({ protocol: '', count: 483, total: 500 });
});

test('a refusal between services names the one that was meant', () => {
  refusals.tellOf(refused({ why: 'peers', to: '10.89.0.4:5432' }), (address) => (address === '10.89.0.4' ? 'shop-db-1' : undefined));
  expect(told).toMatchObject([{ rule: 'policy', name: 'shop-db-1', to: '10.89.0.4:5432' }]);
});

test.each<[string, Partial<NetworkEvent>]>([
  ['a limit', { event: 'limited', why: 'connections' }],
  ['a spoofed frame', { why: 'spoofed address' }],
  ['an address that nobody may reach', { why: 'address' }],
])('%s is not told: no rule of the file forbids it', (_, part) => {
  refusals.tellOf(refused(part), noName);
  expect(told).toEqual([]);
});
