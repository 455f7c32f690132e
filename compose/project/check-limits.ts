import type { Project } from '../model/model.ts';
import { type Check, invalid } from './check.ts';

/** `scale` and `deploy.replicas` agree, and a name is not for several replicas. Throws COMPOSE_INVALID. */
export const checkScale = (check: Check): void => {
  const { name, service } = check;
  const replicas = service.deploy?.replicas;
  if (service.scale !== undefined && replicas !== undefined && service.scale !== replicas) {
    throw invalid(check, `service "${name}": scale is ${service.scale} and deploy.replicas is ${replicas}`, {
      at: ['scale'],
      hint: 'keep one of them',
    });
  }
  const count = service.scale ?? replicas ?? 1;
  const at = service.scale === undefined ? ['deploy', 'replicas'] : ['scale'];
  if (count < 0) {
    throw invalid(check, `service "${name}": ${at.join('.')} must not be negative`, { at });
  }
  if (count > 1 && service.container_name !== undefined) {
    throw invalid(check, `service "${name}" has a container_name and ${count} replicas, but names are unique`, { at: ['container_name'] });
  }
};

/** The old attributes and those under `deploy` must not contradict each other. */
export const checkLimits = (check: Check): void => {
  const { service } = check;
  const resources = service.deploy?.resources as { limits?: Limits; reservations?: Limits } | undefined;
  const pairs: Array<[attribute: string, group: 'limits' | 'reservations', key: keyof Limits]> = [
    ['cpus', 'limits', 'cpus'],
    ['mem_limit', 'limits', 'memory'],
    ['mem_reservation', 'reservations', 'memory'],
    ['pids_limit', 'limits', 'pids'],
  ];
  for (const [attribute, group, key] of pairs) {
    const mine = service[attribute];
    const limits = resources?.[group];
    if (mine !== undefined && limits !== undefined && Number(mine) !== Number(limits[key] ?? 0)) {
      throw invalid(check, `service "${check.name}": ${attribute} and deploy.resources.${group}.${key} differ`, {
        at: [attribute],
        hint: 'keep one of them',
      });
    }
  }
};

interface Limits {
  cpus?: number | string;
  memory?: string;
  pids?: number;
}

/** `scale` also sets `deploy.replicas` where there is a `deploy`; compose does this during its check. */
export const alignReplicas = (project: Project): Project => {
  const services = Object.entries(project.services).map(([name, service]) => {
    const { scale, deploy } = service;
    return [name, scale === undefined || deploy === undefined ? service : { ...service, deploy: { ...deploy, replicas: scale } }] as const;
  });
  return { ...project, services: Object.fromEntries(services) };
};
