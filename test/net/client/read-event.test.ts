import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readEvent } from '../../../net/client/read-event.ts';
import { runs } from '../../support/seed.ts';

test('reads what a gateway reports', () => {
  const refused = {
    event: 'refused',
    machine: 'shop-web-1',
    mac: '02:00:00:00:00:01',
    protocol: 'tcp',
    to: '192.0.2.9:443',
    why: 'policy',
  };
  expect(readEvent({ ...refused, name: '', count: 12 })).toEqual({ ...refused, count: 12 });
  const owners = { shop: { web: ['10.89.7.3'] }, other: {} };
  expect(readEvent({ event: 'names', owners })).toEqual({ event: 'names', owners, count: 1 });
  const edge = { event: 'edge', edge: 7, from: '10.89.7.3:40000', to: '10.89.7.4:443', count: 1 };
  expect(readEvent({ ...edge, other: true })).toEqual(edge);
});

test.each([
  { event: 'unheard-of', count: 1 },
  { event: ['refused'], count: 1 },
  { event: 'refused', count: 'many' },
  { event: 'refused', count: -1 },
  { event: 'edge', edge: '7', from: '10.89.7.3:40000', to: '10.89.7.4:443' },
  { event: 'edge', edge: 7.5, from: '10.89.7.3:40000', to: '10.89.7.4:443' },
  { event: 'edge', edge: 7, from: '', to: '10.89.7.4:443' },
  { event: 'edge', edge: 7, from: '10.89.7.3:40000' },
  { event: 'names' },
  { event: 'names', owners: [] },
  { event: 'names', owners: { shop: { web: '10.89.7.3' } } },
  { event: 'names', owners: { shop: { web: [1] } } },
])('passes over %o', (value) => {
  expect(readEvent(value)).toBeUndefined();
});

test('has texts of a limited length in its fields, whatever comes', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom('machine', 'mac', 'to', 'name', 'why', 'count', 'other'), fc.jsonValue()), (fields) => {
      const read = readEvent({ ...fields, event: 'limited' });
      for (const [key, value] of Object.entries(read ?? {})) {
        expect(['event', 'machine', 'mac', 'to', 'name', 'why', 'count']).toContain(key);
        expect(key === 'count' ? typeof value : typeof value === 'string' && value.length <= 512).toBe(key === 'count' ? 'number' : true);
      }
    }),
    runs(200),
  );
});
