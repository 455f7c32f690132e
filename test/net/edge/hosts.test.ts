import { describe, expect, it } from 'vitest';
import { routeHost } from '../../../net/edge/http/hosts.ts';
import type { NameDirectory } from '../../../net/names/directory.ts';
import { fakeDirectory, named } from '../names/fake-directory.ts';

/** As the directory of the engine: exact names, then wildcards. */
const withWildcard = (exact: NameDirectory, wildcard: string): NameDirectory => ({
  ...exact,
  find: (host) => exact.find(host) ?? (host.endsWith(wildcard.slice(1)) ? named(wildcard) : undefined),
});

describe('routeHost', () => {
  it('takes exact names first, then a port of one, then wildcards', () => {
    const directory = withWildcard(fakeDirectory([named('web.shop'), named('9.web.shop')]), '*.shop');
    const routed = (host: string) => routeHost(`${host}.hypr`, directory, 'hypr');
    expect(routed('9.web.shop')).toMatchObject({ service: { host: '9.web.shop' }, port: undefined });
    expect(routed('3000.web.shop')).toMatchObject({ service: { host: 'web.shop' }, port: 3000, name: 'web.shop' });
    expect(routed('3000.api.shop')).toMatchObject({ service: { host: '*.shop' }, port: undefined });
    expect(routed('one.shop')).toMatchObject({ service: { host: '*.shop' }, port: undefined });
    expect(routed('web.other')).toMatchObject({ kind: 'unknown' });
  });

  it('gives the index page a name of two labels, unless a stack has it', () => {
    expect(routeHost('index.hypr', fakeDirectory([named('web.shop')]), 'hypr')).toEqual({ kind: 'own' });
    expect(routeHost('index.hypr', fakeDirectory([named('index')]), 'hypr')).toMatchObject({ kind: 'service' });
  });
});
