import { expect, it } from 'vitest';
import { nameDomain } from '../../../net/names/directory.ts';

it.each([
  [undefined, 'hypr'],
  ['', 'hypr'],
  ['.Test.', 'test'],
  ['dev.example.com', 'dev.example.com'],
  ['my-team', 'my-team'],
])('takes HYPR_DOMAIN %j as %s', (text, domain) => {
  expect(nameDomain({ HYPR_DOMAIN: text })).toBe(domain);
});

it.each([
  ...['com', 'net', 'org', 'io', 'dev', 'app', 'de', '.COM.'],
  ...['a b', 'a_b', 'a..b', '-a', 'a-', 'hypr\n', 'hypr\ntouch /b', 'a/b', 'ä', 'a'.repeat(64), 'aaa.'.repeat(60)],
])('refuses HYPR_DOMAIN %j', (text) => {
  expect(() => nameDomain({ HYPR_DOMAIN: text })).toThrow(expect.objectContaining({ code: 'HYPR_USAGE' }));
});
