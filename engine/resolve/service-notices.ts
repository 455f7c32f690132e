import { type DockerAccess, isDockerSocket, readDockerAccess } from '../../compose/model/docker-access.ts';
import type { Project, Service } from '../../compose/model/model.ts';
import { ineffectiveAttributes } from './ineffective.ts';

/** What is told once when services are brought up: what has no effect, and who gets more than others. */
export const serviceNotices = (project: Project, services: readonly string[]): string[] =>
  services.flatMap((name) => {
    const service = project.services[name] ?? {};
    const attributes = ineffectiveAttributes(project, name);
    const access = dockerAccessOf(service);
    return [
      ...(attributes.length === 0 ? [] : [`service ${name}: without effect in a machine of its own: ${attributes.join(', ')}`]),
      ...(access === undefined ? [] : [`service ${name}: ${DOCKER[access]}`]),
    ];
  });

const DOCKER: Readonly<Record<DockerAccess, string>> = {
  read: "docker's socket in it is answered by hypr: it can read about this stack, logs of all its services included, and change nothing (x-hypr: {docker: full} gives it all machines)",
  full: "docker's socket in it is answered by hypr: by x-hypr.docker it can do what you can, with all machines, and with files of this host",
};

/** Undefined where the service has no socket; the setting was checked when it was resolved. */
const dockerAccessOf = (service: Service): DockerAccess | undefined => {
  const hasSocket = service.volumes?.some(({ type, source = '' }) => type === 'bind' && isDockerSocket(source));
  const access = readDockerAccess(service['x-hypr']);
  return hasSocket === true && typeof access === 'string' ? access : undefined;
};
