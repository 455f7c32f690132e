import { describe, expect, test } from 'vitest';
import type { Image } from '../../../builder/model/types.ts';
import type { Service } from '../../../compose/model/model.ts';
import { ANONYMOUS_LABEL } from '../../../engine/model/volume-name.ts';
import { imageMountKey, neededImages } from '../../../engine/resolve/needed-images.ts';
import { donorsOf, withSharedVolumes } from '../../../engine/resolve/volumes-from.ts';
import { fakeProject } from '../../cli/support/fake-context.ts';

const project = (services: Record<string, Service>) => fakeProject({ services });

const imageWith = (...targets: string[]) =>
  ({ config: { Volumes: Object.fromEntries(targets.map((target) => [target, {}])) } }) as unknown as Image;

describe('volumes_from', () => {
  test('gives a service the volumes of another where it has none of its own, along the chain, to be read where it says so', () => {
    const { services } = withSharedVolumes(
      project({
        web: { volumes_from: ['mid:ro'], volumes: [{ type: 'volume', source: 'own', target: '/b' }], tmpfs: ['/t:size=1m'] },
        mid: { volumes_from: ['db'], volumes: [{ type: 'bind', source: '/srv', target: '/c/' }] },
        db: {
          volumes: [
            { type: 'volume', source: 'data', target: '/a' },
            { type: 'volume', source: 'other', target: '/b' },
            { type: 'volume', source: 'third', target: '/t' },
            { type: 'tmpfs', target: '/run' },
          ],
        },
      }),
      {},
    );
    expect(services.mid?.volumes?.map(({ source, target }) => [source, target])).toEqual([
      ['/srv', '/c/'],
      ['data', '/a'],
      ['other', '/b'],
      ['third', '/t'],
    ]);
    expect(services.web?.volumes).toEqual([
      { type: 'volume', source: 'own', target: '/b' },
      { type: 'bind', source: '/srv', target: '/c/', read_only: true },
      { type: 'volume', source: 'data', target: '/a', read_only: true },
    ]);
    expect(services.db?.volumes).toHaveLength(4);
  });

  test('names anonymous volumes of the file and of the image, which are then one volume of both', () => {
    const whole = project({ web: { volumes_from: ['db'] }, db: { volumes: [{ type: 'volume', target: '/a' }] } });
    const { services, volumes } = withSharedVolumes(whole, { db: imageWith('/a', '/i') });
    expect(services.web?.volumes).toEqual(services.db?.volumes);
    expect(services.db?.volumes?.map(({ target }) => target)).toEqual(['/a', '/i']);
    for (const { source = '' } of services.db?.volumes ?? []) {
      expect(volumes[source]).toEqual({ name: `shop-${source}`, labels: { [ANONYMOUS_LABEL]: '' } });
    }
  });

  test('changes nothing where nobody shares', () => {
    const whole = project({ db: { volumes: [{ type: 'volume', target: '/a' }] } });
    expect(withSharedVolumes(whole, {})).toBe(whole);
    expect(donorsOf(whole, ['db'])).toEqual([]);
  });

  test('of services in a circle ends', () => {
    const { services } = withSharedVolumes(
      project({ a: { volumes_from: ['b'] }, b: { volumes_from: ['a'], volumes: [{ type: 'bind', source: '/s', target: '/s' }] } }),
      {},
    );
    expect(services.a?.volumes).toHaveLength(1);
  });
});

describe('the images that services need', () => {
  test('are theirs, those that they mount, and those of services whose volumes they share', () => {
    const whole = project({
      web: { image: 'w', platform: 'linux/amd64', volumes: [{ type: 'image', source: 'i', target: '/i' }], volumes_from: ['db'] },
      db: { image: 'd' },
      other: { image: 'o' },
    });
    const needed = neededImages(whole, ['web']);
    expect(needed.services).toEqual(['web', 'db', imageMountKey('i')]);
    expect(needed.project.services[imageMountKey('i')]).toEqual({ image: 'i', platform: 'linux/amd64' });
  });
});
