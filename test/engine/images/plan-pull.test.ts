import { expect, test } from 'vitest';
import { decidePull } from '../../../engine/images/plan-pull.ts';

const choice = { present: true, ignoreBuildable: false, policy: undefined };
const pull = { pull: true };
const present = { pull: false, skipped: 'Image is already present locally' };

test.each([
  ['no image', {}, choice, { pull: false, skipped: 'No image to be pulled' }],
  ['no policy: always, because it was asked for', { image: 'a:1' }, choice, pull],
  ['missing, and it is there', { image: 'a:1', pull_policy: 'missing' }, choice, present],
  ['missing, and it is not there', { image: 'a:1', pull_policy: 'missing' }, { ...choice, present: false }, pull],
  ['missing, and latest moves', { image: 'a:latest', pull_policy: 'missing' }, choice, pull],
  ['missing, and no tag is latest', { image: 'host:5000/a', pull_policy: 'missing' }, choice, pull],
  ['missing, and a digest does not move', { image: 'a@sha256:00', pull_policy: 'missing' }, choice, present],
  ['a refresh that is not due', { image: 'a:1', pull_policy: 'daily' }, choice, pull],
  ['never', { image: 'a:1', pull_policy: 'never' }, choice, { pull: false }],
  ['build', { image: 'a:1', build: {}, pull_policy: 'build' }, choice, { pull: false }],
  ['--ignore-buildable', { image: 'a:1', build: {} }, { ...choice, ignoreBuildable: true }, { pull: false, skipped: 'Image can be built' }],
  ['--policy missing over the file', { image: 'a:latest' }, { ...choice, policy: 'missing' as const }, present],
])('compose pull › %s', (_, service, given, wanted) => {
  expect(decidePull(service, given)).toEqual(wanted);
});
