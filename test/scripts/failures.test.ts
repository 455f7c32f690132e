import { expect, it } from 'vitest';
import { HyprError } from '../../base/errors.ts';
import { linesOf } from '../support/reporter.ts';

it('a failed test tells of what its error carries, and of an error with nothing only itself', () => {
  const error = new HyprError('GUEST_BOOT', 'it ended', { details: ['Kernel panic', 'at once'], hint: 'look' });
  expect(linesOf({ ...error.toJSON() })).toEqual(['GUEST_BOOT: it ended', '  Kernel panic', '  at once', '  hint: look']);
  expect(linesOf({ ...new HyprError('GUEST_BOOT', 'it ended').toJSON() })).toHaveLength(1);
  expect(linesOf({ message: 'plain', hint: 'of somebody else' })).toEqual(['plain']);
});
