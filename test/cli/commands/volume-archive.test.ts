import { expect, it } from 'vitest';
import { placeOfVolume } from '../../../cli/commands/volume-archive.ts';
import type { ReplicaDetail } from '../../../engine/model/types.ts';
import { fakeContext, run } from '../support/fake-context.ts';

type Mounts = ReadonlyArray<Record<string, unknown>>;

const replica = (service: string, mounts: Mounts, status: object = {}, files: ReadonlyArray<{ path: string }> = []): ReplicaDetail =>
  ({
    stack: 'shop',
    status: { service, number: 1, state: 'running', oneOff: false, ...status },
    spec: { mounts, files },
  }) as unknown as ReplicaDetail;
const data = { kind: 'volume', volume: 'shop_data', target: '/data/', readOnly: false, subpath: undefined };

it('an archive that is missing, or a folder, is named by the error', async () => {
  const missing = fakeContext();
  expect(await run(missing, 'volume import shop_data /nowhere/archive.tar')).not.toBe(0);
  expect(missing.stderr.text).toContain('there is no file /nowhere/archive.tar');
  const folder = fakeContext();
  expect(await run(folder, 'volume import shop_data /usr')).not.toBe(0);
  expect(folder.stderr.text).toContain('/usr is a folder, not an archive');
});

it('a volume is reached where all of it is mounted and nothing else below, in a replica that runs, writable first', () => {
  const place = (service: string) => ({ stack: 'shop', place: { service, index: 1, path: '/data' } });
  const readOnly = replica('reader', [{ ...data, readOnly: true }]);
  expect(placeOfVolume('shop_data', [readOnly, replica('web', [data])])).toEqual(place('web'));
  expect(placeOfVolume('shop_data', [readOnly])).toEqual(place('reader'));
  for (const other of [
    replica('web', [data], { state: 'exited' }),
    replica('web', [data], { oneOff: true }),
    replica('web', [{ ...data, subpath: 'part' }]),
    replica('web', [{ ...data, volume: 'shop_other' }]),
    replica('web', [data, { kind: 'tmpfs', target: '/data/tmp' }]),
    replica('web', [data], {}, [{ path: '/data/secret' }]),
  ]) {
    expect(placeOfVolume('shop_data', [other])).toBeUndefined();
  }
});
