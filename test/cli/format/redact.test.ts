import fc from 'fast-check';
import { expect, test } from 'vitest';
import { redactText } from '../../../cli/format/redact.ts';

const redact = (text: string, values: readonly string[] = []): string => redactText(text, { home: '/home/ann', values });

test.each([
  ['DB_PASSWORD=hunter2 next', 'DB_PASSWORD=[hidden] next'],
  ['{"apiKey": "abc", "port": 80}', '{"apiKey": [hidden], "port": 80}'],
  ['GET / authorization: Bearer abcdef.ghijkl', 'GET / authorization: [hidden] [hidden]'],
  ['postgres://shop:s3cret@db:5432/shop', 'postgres://[hidden]@db:5432/shop'],
  ['clone https://x-access-token:ghs_abcdefgh@host/x', 'clone https://[hidden]@host/x'],
  ['id AKIAIOSFODNN7EXAMPLE used', 'id [hidden] used'],
  ['a eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_ b', 'a [hidden] b'],
  ['-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\nend', '[hidden]\nend'],
  ['-----BEGIN PRIVATE KEY-----\ntorn', '[hidden]'],
  ['in /home/ann/shop', 'in ~/shop'],
  ['the machine booted in 312 ms; exit code 137', 'the machine booted in 312 ms; exit code 137'],
])('%j', (text, shown) => {
  expect(redact(text)).toBe(shown);
});

test('a known value is nowhere, whatever stands around it, also as JSON has it', () => {
  const secret = fc.string({ minLength: 6, maxLength: 40 }).filter((value) => value.trim().length >= 6 && !'[hidden]~'.includes(value));
  fc.assert(
    fc.property(secret, fc.string(), fc.string(), (value, before, after) => {
      expect(redact(`${before}${value}${after}`, [value])).not.toContain(value);
      expect(redact(JSON.stringify({ text: value }), [value])).not.toContain(JSON.stringify(value).slice(1, -1));
    }),
  );
});

test.each(['a', ' ', 'password', 'a:', '-', 'Bearer ', 'eyJaaaaaaaa.'])(
  '256 KiB of %j end',
  (part) => {
    const text = part.repeat((256 * 1024) / part.length);
    expect(redact(text).length).toBeGreaterThan(0);
  },
  10_000,
);
