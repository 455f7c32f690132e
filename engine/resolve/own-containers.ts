import type { Project, Service } from '../../compose/model/model.ts';
import { serviceOfContainer, withoutMode } from '../../compose/project/own-containers.ts';

/**
 * The model in which `container:NAME` of this project's own containers (`network_mode`, `ipc`, `pid`, `volumes_from`) is the service they are
 * of, which every part behind knows how to join. `volumes_from` of a service whose profile is off stays, to be refused: it gives nothing.
 * What docker hashes and prints is the model before. Pure.
 */
export const withOwnContainers = (project: Project): Project => {
  const mapped = (services: Project['services']): Project['services'] =>
    Object.fromEntries(Object.entries(services).map(([name, service]) => [name, byService(project, service)]));
  return { ...project, services: mapped(project.services), disabledServices: mapped(project.disabledServices) };
};

const byService = (project: Project, service: Service): Service => {
  const changed: Record<string, unknown> = {};
  for (const attribute of ['network_mode', 'ipc', 'pid'] as const) {
    const owner = serviceOfContainer(project, service[attribute]);
    if (owner !== undefined) {
      changed[attribute] = `service:${owner}`;
    }
  }
  const donors = Array.isArray(service.volumes_from) ? service.volumes_from.map((entry) => byDonor(project, String(entry))) : undefined;
  return { ...service, ...changed, ...(donors === undefined ? {} : { volumes_from: donors }) };
};

const byDonor = (project: Project, entry: string): string => {
  const container = withoutMode(entry);
  const donor = serviceOfContainer(project, container);
  return donor === undefined || project.services[donor] === undefined ? entry : `${donor}${entry.slice(container.length)}`;
};
