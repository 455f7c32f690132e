import { expect, test } from 'vitest';
import { readGpus } from '../../../cli/commands/run-gpus.ts';

const capabilities = ['gpu'];

test.each([
  ['all', { count: 'all', capabilities }],
  ['2', { count: 2, capabilities }],
  ['count=2,driver=nvidia', { count: 2, driver: 'nvidia', capabilities }],
  ['device=0', { device_ids: ['0'], capabilities }],
  ['"device=0,1"', { device_ids: ['0', '1'], capabilities }],
  ['device=0000:01:00.0', { device_ids: ['0000:01:00.0'], capabilities }],
  ['"capabilities=compute,utility"', { count: 'all', capabilities: ['compute', 'utility'] }],
])('--gpus %s', (text, request) => {
  expect(readGpus(text)).toEqual(request);
});

test.each(['', 'some', 'device=0,1', 'x=y', 'count=-3'])('--gpus %j is refused', (text) => {
  expect(() => readGpus(text)).toThrow('--gpus does not know');
});
