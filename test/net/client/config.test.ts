import { describe, expect, it } from 'vitest';
import { buildGatewayConfig, networkSocket } from '../../../net/client/config.ts';
import { makeSpec } from './helpers.ts';

const spec = makeSpec('/run/user/1000/hypr/a b');
const resolvers = { resolvers: ['10.0.0.2:53'], fallback: ['8.8.8.8:53'] };
const read = (changes: object = {}): Record<string, unknown> =>
  buildGatewayConfig({ ...spec, ...changes }, resolvers) as Record<string, unknown>;

describe('the configuration of a gateway', () => {
  it('has no address for the host, and the name servers of the host', () => {
    expect(read()).toEqual({
      network: 'shop_default',
      socket: '/run/user/1000/hypr/a b/run/n.sock',
      subnet: '10.89.7.0/24',
      gateway: '10.89.7.1',
      mtu: 65520,
      internal: false,
      ...resolvers,
      names: { 'gateway.docker.internal': ['10.89.7.1'], 'gateway.hypr': ['10.89.7.1'] },
      blocked: expect.arrayContaining(['127.0.0.1/32']),
    });
  });

  it('has one where some machine may reach the host', () => {
    expect(read({ hostAccess: true })).toMatchObject({ host: '10.89.7.254' });
  });

  it('never has one on an internal network, which has no name servers either', () => {
    expect(read({ hostAccess: true, internal: true })).not.toHaveProperty('host');
    expect(read({ internal: true })).toMatchObject({ resolvers: [], fallback: [] });
  });

  it('keeps the host address off the gateway', () => {
    expect(read({ hostAccess: true, gateway: '10.89.7.254' })).toMatchObject({ host: '10.89.7.253' });
  });

  it.each([{ subnet: '10.0.0.0/30' }, { subnet: 'x' }, { gateway: '10.90.0.1' }, { gateway: 'x' }])('refuses %j', (changes) => {
    expect(() => read(changes)).toThrow(expect.objectContaining({ code: 'NET_ADDRESS' }));
  });

  it('refuses paths that are too long for sockets', () => {
    expect(() => networkSocket(`/${'x'.repeat(95)}`)).not.toThrow();
    expect(() => networkSocket(`/${'x'.repeat(96)}`)).toThrow(expect.objectContaining({ code: 'NET_START' }));
  });
});
