import { describe, expect, test } from 'vitest';
import { readEgress } from '../../../compose/model/egress.ts';

describe('x-hypr.egress', () => {
  test.each<[unknown, unknown]>([
    [undefined, undefined],
    [{}, undefined],
    [{ egress: 'allow' }, undefined],
    [{ allow_outbound: true }, undefined],
    [{ egress: 'deny' }, { allow: [] }],
    [{ allow_outbound: false }, { allow: [] }],
    [{ allowed_domains: ['*.Example.com.'], allow_outbound: true }, { allow: [{ to: '*.example.com' }] }],
    [{ egress: { allow: ['example.com:443'] } }, { allow: [{ to: 'example.com', ports: '443' }] }],
    [{ egress: { allow: ['10.0.0.0/8:5432-5440/tcp'] } }, { allow: [{ to: '10.0.0.0/8', ports: '5432-5440', protocol: 'tcp' }] }],
    [{ egress: { allow: ['192.0.2.1/icmp'] } }, { allow: [{ to: '192.0.2.1', protocol: 'icmp' }] }],
    [{ egress: { allow: [443, ':8080', '53/udp'] } }, { allow: [{ ports: '443' }, { ports: '8080' }, { ports: '53', protocol: 'udp' }] }],
    [
      { egress: { allow: ['2001:db8::/32', '[2001:db8::1]:443'] } },
      { allow: [{ to: '2001:db8::/32' }, { to: '2001:db8::1', ports: '443' }] },
    ],
  ])('%j is read', (settings, egress) => expect(readEgress(settings)).toEqual(egress));

  test.each<[unknown, string]>([
    [{ egress: 'none' }, 'egress'],
    [{ egress: { deny: [] } }, 'egress'],
    [{ egress: { allow: 'example.com' } }, 'egress'],
    [{ egress: { allow: [''] } }, 'egress'],
    [{ egress: { allow: ['*'] } }, 'egress'],
    [{ egress: { allow: ['a b'] } }, 'egress'],
    [{ egress: { allow: ['300.1.1.1'] } }, 'egress'],
    [{ egress: { allow: ['10.0.0.0/33'] } }, 'egress'],
    [{ egress: { allow: ['10.0.0'] } }, 'egress'],
    [{ egress: { allow: ['*.example.10.'] } }, 'egress'],
    [{ egress: { allow: ['example.com:0'] } }, 'egress'],
    [{ egress: { allow: ['example.com:9-8'] } }, 'egress'],
    [{ egress: { allow: ['example.com:70000'] } }, 'egress'],
    [{ egress: { allow: ['https://example.com/'] } }, 'egress'],
    [{ egress: { allow: [null] } }, 'egress'],
    [{ egress: 'deny', allow_outbound: false }, 'egress'],
    [{ allow_outbound: 'no' }, 'allow_outbound'],
    [{ allowed_domains: [{}] }, 'allowed_domains'],
  ])('%j is refused', (settings, key) => expect(readEgress(settings)).toMatchObject({ key, fault: expect.any(String) }));
});
