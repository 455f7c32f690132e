import { expect, test } from 'vitest';
import { readRestartUnhealthy } from '../../../compose/model/restart-unhealthy.ts';

test.each([
  [undefined, {}, false],
  [{ egress: 'deny' }, {}, false],
  [{ restart_unhealthy: true }, {}, true],
  [{ restart_unhealthy: false }, { autoheal: 'true' }, false],
  [undefined, { autoheal: 'true' }, true],
  [undefined, { autoheal: true }, true],
  [undefined, { autoheal: 'false' }, false],
])('%j with labels %j: %s', (settings, labels, wanted) => {
  expect(readRestartUnhealthy(settings, labels)).toBe(wanted);
});

test('anything but true and false is a fault', () => {
  expect(readRestartUnhealthy({ restart_unhealthy: 'yes' })).toEqual({ fault: 'must be true or false' });
});
