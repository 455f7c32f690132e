import { expect, test } from 'vitest';
import { fallbackDns } from '../../net/defaults.ts';

test.each([
  [{}, ['8.8.8.8']],
  [{ HYPR_FALLBACK_DNS: '' }, ['8.8.8.8']],
  [{ HYPR_FALLBACK_DNS: '9.9.9.9' }, ['9.9.9.9']],
  [{ HYPR_FALLBACK_DNS: 'none' }, []],
])('fallbackDns › with %j is %j', (env, resolvers) => {
  expect(fallbackDns(env)).toEqual(resolvers);
});

test.each(['dns.example', '1.2.3', '::1', 'NONE'])('fallbackDns › refuses %s', (setting) => {
  expect(() => fallbackDns({ HYPR_FALLBACK_DNS: setting })).toThrow(expect.objectContaining({ code: 'HYPR_USAGE' }));
});
