import { expect, test } from 'vitest';
import { refusalText } from '../../../cli/format/refusal.ts';
import type { Refusal } from '../../../engine/model/events.ts';

const base: Refusal = { replica: 'shop-web-1', service: 'web', rule: 'egress', protocol: 'tcp', to: '192.0.2.9:443', count: 1, total: 1 };

test.each<[Partial<Refusal>, string]>([
  [{}, 'shop-web-1 may not connect to 192.0.2.9:443 by tcp: its x-hypr has no rule for it'],
  [
    { name: 'a.example', count: 4 },
    'shop-web-1 may not connect to a.example (192.0.2.9:443) by tcp (4 times): its x-hypr has no rule for it',
  ],
  [{ rule: 'policy', name: 'shop-db-1' }, 'shop-web-1 may not connect to shop-db-1 (192.0.2.9:443) by tcp: a policy of x-hypr says no'],
])('refusalText › %j', (part, text) => {
  expect(refusalText({ ...base, ...part })).toBe(text);
});

test('refusalText › says what was asked for when there is no address, and that there were many', () => {
  const { to: _, ...nowhere } = base;
  expect(refusalText({ ...nowhere, protocol: 'dns', name: 'a.example' })).toBe(
    'shop-web-1 may not ask for the name a.example: its x-hypr has no rule for it',
  );
  expect(refusalText({ ...nowhere, protocol: '', rule: 'rate', count: 9 })).toBe(
    'shop-web-1 may not connect to many destinations (9 times): there were too many in a short time',
  );
});
