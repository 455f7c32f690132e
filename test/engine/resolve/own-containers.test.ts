import { describe, expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import type { Service } from '../../../compose/model/model.ts';
import { withOwnContainers } from '../../../engine/resolve/own-containers.ts';
import { resolveReplica } from '../../../engine/resolve/replica-spec.ts';
import { checkServices } from '../../../engine/resources/check-services.ts';
import { projectOf, RUNTIME } from '../support/project.ts';

const nothing = { sharedNetworks: () => [], networks: () => [], vms: () => [] };

const refusal = (services: Record<string, Service>, names = Object.keys(services)): HyprError | undefined => {
  try {
    checkServices(withOwnContainers(projectOf(services)), names, nothing);
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

  test('must be there, or be made, before anything is pulled', () => {
    const services: Record<string, Service> = { app: { network_mode: 'container:vpn' }, gateway: { container_name: 'vpn' } };
    expect(refusal(services)).toBeUndefined();
    expect(refusal(services, ['app'])).toMatchObject({
      code: 'COMPOSE_INVALID',
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
