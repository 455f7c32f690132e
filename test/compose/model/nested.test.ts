import { expect, test } from 'vitest';
import { readNested } from '../../../compose/model/nested.ts';

const kvm = { source: '/dev/kvm', target: '/dev/kvm', permissions: 'rwm' };

test.each([
  [undefined, [], false],
  [{ egress: 'deny' }, [], false],
  [{ nested: true }, [], true],
  [{ nested: false }, [kvm], false],
  [undefined, [kvm], true],
  [undefined, [{ source: '/dev/kvm' }], true],
  [undefined, [{ ...kvm, target: '/dev/kvm0' }], false],
  [undefined, [{ source: '/dev/fuse', target: '/dev/kvm' }], false],
])('%j with devices %j: %s', (settings, devices, wanted) => {
  expect(readNested(settings, devices)).toBe(wanted);
});

test('anything but true and false is a fault', () => {
  expect(readNested({ nested: 'yes' })).toEqual({ fault: 'must be true or false' });
});
