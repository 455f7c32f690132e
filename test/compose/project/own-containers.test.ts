import { describe, expect, test } from 'vitest';
import { serviceOfContainer } from '../../../compose/project/own-containers.ts';
import { failure, load } from '../project-folder.ts';

const FILE = `
name: shop
services:
  app: {image: a, network_mode: 'container:vpn', ipc: 'container:shop-db-1', volumes_from: ['container:shop-db-1:ro']}
  db: {image: b}
  far: {image: c, network_mode: 'container:elsewhere'}
  gateway: {image: d, container_name: vpn}
`;

describe('container:NAME of a container of the same project', () => {
  test('is found by container_name, else as the first replica, as Compose v1 wrote it too', async () => {
    const { project } = await load(FILE);
    const names = ['vpn', 'shop-db-1', 'shop_db_1', 'shop-db-2', 'shop-gateway-1', 'db', ''];
    expect(names.map((name) => serviceOfContainer(project, `container:${name}`))).toEqual([
      'gateway',
      'db',
      'db',
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect([serviceOfContainer(project, 'service:db'), serviceOfContainer(project, undefined)]).toEqual([undefined, undefined]);
  });

  test('makes who joins it depend on its service, where that is asked for', async () => {
    const { project } = await load(FILE, { dependOnContainers: true });
    expect(project.services.app?.depends_on).toEqual({
      gateway: { condition: 'service_started', required: true, restart: true },
      db: { condition: 'service_started', required: true },
    });
    expect(project.services.far?.depends_on).toBeUndefined();
    expect(project.services.app?.network_mode).toBe('container:vpn');
    expect((await load(FILE)).project.services.app?.depends_on).toBeUndefined();
    const chosen = await load(FILE, { dependOnContainers: true, services: ['app'] });
    expect(Object.keys(chosen.project.services)).toEqual(['app', 'db', 'gateway']);
  });

  test('keeps what the file says of the dependency, and is refused in a circle', async () => {
    const declared = `${FILE}  own: {image: e, network_mode: 'container:vpn', depends_on: {gateway: {condition: service_healthy}}}\n`;
    const { project } = await load(declared, { dependOnContainers: true });
    expect(project.services.own?.depends_on?.gateway?.condition).toBe('service_healthy');
    const circle = `${FILE}  self: {image: e, network_mode: 'container:shop-self-1'}\n`;
    expect(await failure(circle, { dependOnContainers: true })).toMatchObject({
      code: 'COMPOSE_INVALID',
      message: expect.stringContaining('self'),
    });
  });

  test('of a service whose profile is off is no dependency', async () => {
    const { project } = await load(FILE.replace('container_name: vpn', 'container_name: vpn, profiles: [x]'), { dependOnContainers: true });
    expect(Object.keys(project.services.app?.depends_on ?? {})).toEqual(['db']);
    expect(serviceOfContainer(project, 'container:vpn')).toBe('gateway');
  });

  test.each(['db: {image: b}', 'db: {image: b, profiles: [tools]}', 'db: {image: b, profiles: [other, tools]}'])(
    'is there first where the profile of who joins it is switched on by naming that: %s',
    async (db) => {
      const file = `
name: shop
services:
  ${db}
  backup: {image: a, profiles: [tools], network_mode: 'container:shop-db-1', volumes_from: ['container:shop-db-1']}
`;
      const { project } = await load(file, { dependOnContainers: true, services: ['backup'] });
      expect(Object.keys(project.services).sort()).toEqual(['backup', 'db']);
      expect(Object.keys(project.services.backup?.depends_on ?? {})).toEqual(['db']);
    },
  );

  test.each(['db', 'db other'])('is there first where its profile is switched on by naming it beside who joins it: %s', async (names) => {
    const file = `
name: shop
services:
  db: {image: b, profiles: [tools]}
  other: {image: c, profiles: [tools], container_name: other}
  web: {image: a, network_mode: 'container:shop-db-1', volumes_from: ['container:other']}
`;
    const { project } = await load(file, { dependOnContainers: true, services: ['web', ...names.split(' ')] });
    expect(Object.keys(project.services.web?.depends_on ?? {})).toEqual(names.split(' '));
    const alone = await load(file, { dependOnContainers: true, services: ['web'] });
    expect(alone.project.services.web?.depends_on).toBeUndefined();
  });

  test('of a service whose profile stays off is not needed by one whose profile is switched on', async () => {
    const file = `
name: shop
services:
  db: {image: b, profiles: [other]}
  backup: {image: a, profiles: [tools], volumes_from: ['container:shop-db-1']}
`;
    const { project } = await load(file, { dependOnContainers: true, services: ['backup'] });
    expect(Object.keys(project.services)).toEqual(['backup']);
    expect(project.services.backup?.depends_on).toBeUndefined();
  });
});
