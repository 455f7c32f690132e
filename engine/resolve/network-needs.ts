import { shortHash } from '../../base/paths.ts';
import type { Project } from '../../compose/model/model.ts';

/** Changes when a network has to be recreated. */
export const networkHash = (project: Project, key: string): string => {
  const { name, internal, ipam, driver, enable_ipv6: ipv6, driver_opts: options, labels } = project.networks[key] ?? { name: key };
  const host = asksForHost(project, key) ? ['host'] : [];
  return shortHash(
    JSON.stringify([
      name,
      internal ?? false,
      ipam ?? null,
      driver ?? null,
      ...host,
      ...(ipv6 === true ? ['ipv6'] : []),
      ...(options === undefined ? [] : [options]),
      ...(Object.keys(labels ?? {}).length === 0 ? [] : [{ labels }]),
    ]),
    16,
  );
};

/** Whether a service has `host-gateway` among its extra hosts; only then does its network give access to this host's loopback. */
export const asksForHost = (project: Project, key: string): boolean =>
  Object.values(project.services).some(
    (service) =>
      Object.hasOwn(service.networks ?? { default: null }, key) && service.extra_hosts?.some((entry) => /[:=]host-gateway$/.test(entry)),
  );
