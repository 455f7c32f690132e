import { HyprError } from '../../base/errors.ts';

/** Ctrl-C has called an `up` or `create` off: what is there stays, and how to see and remove it. */
export const interruptedUp = (noStart: boolean, cause: unknown): HyprError =>
  new HyprError('HYPR_CANCELLED', 'interrupted', {
    hint: noStart
      ? 'what was created stays: hypr ps -a shows it, hypr down removes it'
      : 'what was started goes on: hypr ps shows it, hypr down ends it',
    cause,
  });
