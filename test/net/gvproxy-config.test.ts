import { describe, expect, it } from 'vitest';
import { buildGvproxyConfig, buildJailCommand, networkPaths } from '../../net/gvproxy-config.ts';
import { makeSpec } from './helpers.ts';

const spec = makeSpec('/run/user/1000/hypr/a b');
const read = (changes: object = {}): Record<string, unknown> =>
  JSON.parse(buildGvproxyConfig({ ...spec, ...changes })) as Record<string, unknown>;

describe('the configuration of gvproxy', () => {
  it('maps the host away, names no zone, and quotes paths', () => {
    expect(read()).toEqual({
      'log-level': 'info',
      listen: ['unix:///run/user/1000/hypr/a%20b/run/n.sock'],
      interfaces: { qemu: 'unix:///run/user/1000/hypr/a%20b/run/q.sock' },
      stack: {
        mtu: 65520,
        subnet: '10.89.7.0/24',
        gatewayIP: '10.89.7.1',
        nat: { '0.0.0.0': '224.0.0.0', '10.89.7.254': '224.0.0.0' },
        gatewayVirtualIPs: ['10.89.7.1'],
        dns: [],
      },
    });
  });

  it('lets guests reach the host where that is asked for', () => {
    expect(read({ hostAccess: true }).stack).toMatchObject({
      nat: { '0.0.0.0': '224.0.0.0', '10.89.7.254': '127.0.0.1' },
      gatewayVirtualIPs: ['10.89.7.1', '10.89.7.254'],
      dns: [
        { name: 'docker.internal.', records: [{ name: 'host', ip: '10.89.7.254' }] },
        { name: 'hypr.', records: [{ name: 'host', ip: '10.89.7.254' }] },
      ],
    });
  });

  it('never does so on an internal network, whose every name is unknown', () => {
    expect(read({ hostAccess: true, internal: true }).stack).toMatchObject({
      nat: { '10.89.7.254': '224.0.0.0' },
      dns: [{ name: '', records: [] }],
    });
  });

  it('keeps the host address off the gateway', () => {
    expect(read({ gateway: '10.89.7.254' }).stack).toMatchObject({ nat: { '10.89.7.253': '224.0.0.0' } });
  });

  it.each([{ subnet: '10.0.0.0/30' }, { subnet: 'x' }, { gateway: '10.90.0.1' }, { gateway: 'x' }])('refuses %j', (changes) => {
    expect(() => read(changes)).toThrow(expect.objectContaining({ code: 'NET_ADDRESS' }));
  });
});

describe('files of a network', () => {
  it('avoids socket paths as long as an internet address', () => {
    for (let length = 1; length < 60; length += 1) {
      const { socket, qemuSocket } = networkPaths(`/${'x'.repeat(length)}`);
      expect([13, 25]).not.toContain(socket.length);
      expect(qemuSocket).toHaveLength(socket.length);
    }
  });

  it('refuses paths that are too long for sockets', () => {
    expect(() => networkPaths(`/${'x'.repeat(95)}`)).not.toThrow();
    expect(() => networkPaths(`/${'x'.repeat(96)}`)).toThrow(expect.objectContaining({ code: 'NET_START' }));
  });
});

it('starts gvproxy in its jail with the network named last', () => {
  const programs = { gvproxy: { file: '/t/bin/gvproxy', prefix: ['/t/ld.so', '--library-path', '/t/lib:/t/lib2'] }, jail: '/t/jail' };
  const plain = makeSpec('/r', { udpPorts: false, internal: true });
  expect(buildJailCommand(plain, programs, 3)).toEqual({
    file: '/t/jail',
    args: (
      '--run /r/run --internal --no-bind --read /t/bin/gvproxy --read /t/ld.so --read /t/lib --read /t/lib2 ' +
      '--read /r/run/gvproxy.yaml --status-fd 3 -- /t/ld.so --library-path /t/lib:/t/lib2 /t/bin/gvproxy -config /r/run/gvproxy.yaml -- shop_default'
    ).split(' '),
  });
});
