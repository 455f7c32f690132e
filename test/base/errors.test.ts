import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ERRORS } from '../../base/error-catalogue.ts';
import { errorFromJson, formatPlace, HyprError, isAbort, isErrno, toHyprError } from '../../base/errors.ts';

const documented = new Map(
  readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, code, meaning, todo] = /^\| `([A-Z_]+)` \| (.+) \| (.+) \|$/.exec(line) ?? [];
      return code === undefined ? [] : [[code, { meaning, todo }] as const];
    }),
);

test('every code is in docs/errors.md, and nothing else is', () => {
  expect(
    [...documented.keys()].sort(),
    'a code is a row of docs/errors.md under the heading of its floor: | `CODE` | its text | what to do |',
  ).toEqual(Object.keys(ERRORS).sort());
});

test.each(Object.entries(ERRORS))('docs/errors.md says of %s what the code says', (code, { kind, text }) => {
  expect(documented.get(code)?.meaning, `the row of ${code} in docs/errors.md`).toBe(
    `${text.replaceAll('|', '\\|')}${kind === 'bug' ? ' (bug)' : ''}`,
  );
  expect(documented.get(code)?.todo?.length, `what to do about ${code} is too short in docs/errors.md`).toBeGreaterThan(10);
});

test('an error crosses the socket whole', () => {
  const error = new HyprError('BUILD_FAILED', 'm', { hint: 'h', where: { file: 'f', line: 1, column: 2 }, details: ['a', 'b'] });
  const back = errorFromJson(JSON.parse(JSON.stringify(error)));
  expect(back).toBeInstanceOf(HyprError);
  expect(back.toJSON()).toEqual(error.toJSON());
  expect(errorFromJson(new HyprError('HYPR_USAGE', 'plain').toJSON()).toJSON()).toEqual({
    code: 'HYPR_USAGE',
    message: 'plain',
    details: [],
  });
});

test('whose fault it is', () => {
  expect(new HyprError('HYPR_USAGE', '').isUserError).toBe(true);
  expect(new HyprError('HYPR_INTERNAL', '').isUserError).toBe(false);
});

test('anything thrown becomes an error of ours', () => {
  const own = new HyprError('HYPR_USAGE', 'own');
  expect(toHyprError(own)).toBe(own);
  expect(toHyprError(AbortSignal.abort().reason)).toMatchObject({ code: 'HYPR_CANCELLED' });
  const cause = new TypeError('x is not a function');
  expect(toHyprError(cause)).toMatchObject({ code: 'HYPR_INTERNAL', message: 'x is not a function', cause });
  expect(toHyprError('text')).toMatchObject({ code: 'HYPR_INTERNAL', message: 'text' });
});

test('small helpers', () => {
  expect(isAbort(new HyprError('HYPR_CANCELLED', ''))).toBe(true);
  expect(isAbort(new Error('AbortError'))).toBe(false);
  expect(isErrno(Object.assign(new Error(), { code: 'ENOENT' }), 'EACCES', 'ENOENT')).toBe(true);
  expect(isErrno({ code: 'ENOENT' }, 'ENOENT')).toBe(false);
  expect(formatPlace({ file: 'a.yaml' })).toBe('a.yaml');
  expect(formatPlace({ file: 'a.yaml', column: 3 })).toBe('a.yaml');
  expect(formatPlace({ file: 'a.yaml', line: 2, column: 3 })).toBe('a.yaml:2:3');
});
