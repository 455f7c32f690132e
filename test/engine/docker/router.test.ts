import { describe, expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { ApiError, describeError } from '../../../engine/docker/http/errors.ts';
import { compileFilters, labelJudges } from '../../../engine/docker/http/filters.ts';
import { Query } from '../../../engine/docker/http/query.ts';
import { makeRouter } from '../../../engine/docker/http/router.ts';

const queryOf = (values: Record<string, string>): Query => new Query(new URLSearchParams(values));

describe('paths', () => {
  const [one, other] = [() => {}, () => {}];
  const find = makeRouter({
    'GET /containers/{id}/json': one,
    'GET /images/{name...}/json': other,
    'DELETE /images/{name...}': one,
    'GET /_ping': one,
  });

  test('with a version, without one, and with slashes and escapes in a name', () => {
    expect(find('GET', '/containers/web/json')).toMatchObject({ handler: one, params: { id: 'web' }, version: 51 });
    expect(find('GET', '/v1.24/containers/a%20b/json')).toMatchObject({ handler: one, params: { id: 'a b' }, version: 24 });
    expect(find('GET', '/v1.43/images/ghcr.io/me/app:1/json')).toEqual({
      route: 'GET /images/{name...}/json',
      handler: other,
      params: { name: 'ghcr.io/me/app:1' },
      version: 43,
    });
    expect(find('HEAD', '/_ping').handler).toBe(one);
  });

  test.each([
    ['GET', '/v1.23/_ping', 400, /too old.*1\.24/],
    ['GET', '/v1.52/_ping', 400, /too new.*1\.51/],
    ['GET', '/v2.0/_ping', 400, /too old/],
    ['GET', '/nothing', 404, /page not found/],
    ['POST', '/images/x', 405, /not allowed/],
    ['GET', '/containers/%zz/json', 400, /encoded/],
  ])('%s %s is refused with %i', (method, path, status, message) => {
    const thrown = (() => {
      try {
        return find(method, path);
      } catch (error) {
        return error;
      }
    })() as ApiError;
    expect(thrown.status).toBe(status);
    expect(thrown.message).toMatch(message);
  });
});

describe('filters', () => {
  const judges = {
    ...labelJudges((labels: Record<string, string>) => labels),
    name: (labels: Record<string, string>, value: string) => labels.name === value,
  };
  const matches = (filters: unknown, labels: Record<string, string>): boolean =>
    compileFilters(queryOf({ filters: JSON.stringify(filters) }), judges)(labels);

  test('all labels have to match, one of the names has to', () => {
    expect(matches({ label: ['a=1', 'b'] }, { a: '1', b: '' })).toBe(true);
    expect(matches({ label: ['a=1', 'b'] }, { a: '1' })).toBe(false);
    expect(matches({ name: ['x', 'y'] }, { name: 'y' })).toBe(true);
    expect(matches({ 'label!': ['a=1'] }, { a: '1' })).toBe(false);
  });

  test('the older form has the values as keys', () => {
    expect(matches({ name: { x: true, y: false } }, { name: 'x' })).toBe(true);
    expect(matches({ name: { x: true, y: false } }, { name: 'y' })).toBe(false);
  });

  test.each([{ colour: ['red'] }, { 'name!': ['x'] }, ['name'], 'name'])('%j is refused', (filters) => {
    expect(() => matches(filters, {})).toThrow(ApiError);
  });
});

describe('a query', () => {
  test('says no as docker does', () => {
    for (const no of ['', '0', 'no', 'False', 'none']) {
      expect(queryOf({ all: no }).bool('all')).toBe(false);
    }
    expect(queryOf({ all: '1' }).bool('all')).toBe(true);
    expect(queryOf({}).bool('all', true)).toBe(true);
  });

  test('has times in seconds and as dates', () => {
    expect(queryOf({ since: '1700000000.5' }).moment('since')).toBe(1_700_000_000_500);
    expect(queryOf({ since: '2023-11-14T22:13:20Z' }).moment('since')).toBe(1_700_000_000_000);
    expect(queryOf({ since: '0' }).moment('since')).toBe(0);
    expect(queryOf({ since: '-5' }).moment('since')).toBe(-5000);
    expect(queryOf({ since: '2023-11-14T22:13:20.123456789+01:00' }).moment('since')).toBe(1_699_996_400_123);
    expect(queryOf({ since: '' }).moment('since')).toBeUndefined();
    for (const since of ['now', '10m', 'May 1', '1.', '.5', '2024-02-30']) {
      expect(() => queryOf({ since }).moment('since'), since).toThrow(/not a time/);
    }
    expect(() => queryOf({ t: 'x' }).int('t')).toThrow(/number/);
  });
});

test('errors have the statuses of docker', () => {
  expect(describeError(new HyprError('NOT_FOUND', 'gone', { hint: 'look' }))).toEqual({ status: 404, message: 'gone (look)' });
  expect(describeError(new HyprError('VOLUME_IN_USE', 'used')).status).toBe(409);
  expect(describeError(new HyprError('GUEST_REFUSED', 'no', { reason: 'notFound' })).status).toBe(404);
  expect(describeError(new Error('bug'))).toEqual({ status: 500, message: 'bug' });
});
