import { describe, expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { exitCodeOf } from '../../../cli/core/print-error.ts';
import { GuestExecError } from '../../../guest/client/process-channel.ts';

describe('the exit code of a failure', () => {
  test.each([
    [
      'a program that is not there, also told by a supervisor',
      new HyprError('GUEST_EXEC', 'x', { ...new GuestExecError(127, 'x').toJSON() }),
      127,
    ],
    ['a program that cannot be started', new GuestExecError(126, 'x'), 126],
    ['what was interrupted', new HyprError('HYPR_CANCELLED', 'x'), 130],
    ['anything else', new HyprError('NOT_FOUND', 'x', { reason: 'notFound' }), 1],
  ])('%s', (_, error, code) => {
    expect(exitCodeOf(error)).toBe(code);
  });
});
