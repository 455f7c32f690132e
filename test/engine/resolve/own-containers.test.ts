import { describe, expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import type { Service } from '../../../compose/model/model.ts';
import { withOwnContainers } from '../../../engine/resolve/own-containers.ts';
import { resolveReplica } from '../../../engine/resolve/replica-spec.ts';
import { resolveSharedMachine } from '../../../engine/resolve/shared-machine.ts';
import { checkServices } from '../../../engine/resources/check-services.ts';
import { projectOf, RUNTIME } from '../support/project.ts';

const nothing = { sharedNetworks: () => [], networks: () => [], vms: () => [] };

const refusal = (
  services: Record<string, Service>,
  names = Object.keys(services),
  disabledServices: Record<string, Service> = {},
): HyprError | undefined => {
  try {
    checkServices(withOwnContainers(projectOf(services, { disabledServices })), names, nothing);
  } catch (error) {
    if (error instanceof HyprError) {
      return error;
    }
    throw error;
  }
  return undefined;
};

describe('container:NAME of a container of the same project', () => {
  test('is joined as service:NAME is, and gives its volumes', () => {
    const services: Record<string, Service> = {
      app: { network_mode: 'container:vpn', ipc: 'container:vpn', volumes_from: ['container:shop-db-1:ro', 'container:far'] },
      gateway: { container_name: 'vpn' },
      db: {},
    };
    const project = withOwnContainers(projectOf(services));
    expect(project.services.app?.volumes_from).toEqual(['db:ro', 'container:far']);
    const app = { ...project.services.app, volumes_from: [], networks: undefined as never };
    const spec = resolveReplica({
      project: { ...project, services: { ...project.services, app } },
      service: 'app',
      number: 1,
      image: { reference: 'a:1', config: RUNTIME },
    });
    expect(spec).toMatchObject({ networks: [], shares: { service: 'gateway', replica: 'vpn', ipc: true } });
  });

  test('whose service has its profile off gives no volumes, and is refused', () => {
    const services: Record<string, Service> = { app: { volumes_from: ['container:shop-db-1'] } };
    expect(refusal(services, ['app'], { db: { profiles: ['x'] } })).toMatchObject({
      code: 'HYPR_UNSUPPORTED',
      message: expect.stringContaining('container:shop-db-1'),
      path: ['services', 'app', 'volumes_from', '0'],
      hint: expect.stringContaining('enable the profile of its service'),
    });
    expect(refusal({ ...services, db: {} })).toBeUndefined();
  });

  test.each([
    ['by its own name', { db: { container_name: 'mydb', profiles: ['x'] } }, 'container:mydb', { service: 'db', replica: 'mydb' }],
    ['as the first replica', { db: { profiles: ['x'] } }, 'container:shop-db-1', { service: 'db', replica: 'shop-db-1' }],
    [
      'which itself is in the machine of another',
      { db: { profiles: ['x'], network_mode: 'container:vpn' }, gateway: { container_name: 'vpn', profiles: ['x'] } },
      'container:shop-db-1',
      { service: 'gateway', replica: 'vpn' },
    ],
  ] as Array<[string, Record<string, Service>, string, object]>)(
    'whose service has its profile off is joined where it runs: %s',
    (_, disabledServices, network_mode, expected) => {
      const project = withOwnContainers(projectOf({ web: { network_mode } }, { disabledServices }));
      expect(resolveSharedMachine(project, 'web')).toEqual(expected);
    },
  );

  test('must be there, or be made, before anything is pulled', () => {
    const services: Record<string, Service> = { app: { network_mode: 'container:vpn' }, gateway: { container_name: 'vpn' } };
    expect(refusal(services)).toBeUndefined();
    expect(refusal(services, ['app'])).toMatchObject({
      code: 'STACK_NOT_RUNNING',
      message: 'cannot share network namespace with service gateway: container missing',
      path: ['services', 'app', 'network_mode'],
    });
  });

  test('its processes are not seen, and those of another stack are not joined: each says what to write instead', () => {
    expect(refusal({ app: { pid: 'container:vpn' }, gateway: { container_name: 'vpn' } })?.hint).toContain('hypr exec gateway …');
    expect(refusal({ app: { network_mode: 'container:far' } })).toMatchObject({
      code: 'HYPR_UNSUPPORTED',
      path: ['services', 'app', 'network_mode'],
      hint: expect.stringMatching(/far is no container of this file: take its file in with include: and write network_mode: service:NAME/),
    });
  });
});
