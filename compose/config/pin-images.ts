import { HyprError } from '../../base/errors.ts';
import type { Project, Service } from '../model/model.ts';

/** Asks the registry for the current digest (`sha256:…`) of a full reference. */
export type DigestResolver = (reference: string) => Promise<string>;

/**
 * The project with every image pinned to its digest (`docker.io/library/x:1@sha256:…`), for
 * `config --resolve-image-digests`. Each image without a digest is resolved once, a few at a time.
 * @throws COMPOSE_INVALID for an invalid reference, and the errors of the resolver, which name the service
 */
export const pinImages = async (project: Project, resolve: DigestResolver): Promise<Project> => {
  const wanted = new Map<string, string>();
  for (const [name, { image }] of Object.entries(project.services)) {
    if (image !== undefined && !wanted.has(image)) {
      wanted.set(image, name);
    }
  }
  const pinned = new Map<string, string>();
  const queue = [...wanted];
  const lane = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [image, service] = next;
      pinned.set(image, await pin(image, service, resolve));
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  const services = Object.entries(project.services).map(([name, service]) => {
    const image = service.image === undefined ? undefined : pinned.get(service.image);
    return [name, image === undefined ? service : { ...service, image }] as const;
  });
  return { ...project, services: Object.fromEntries(services) };
};

/** An override file with only the images, for `config --lock-image-digests`. */
export const lockedServices = (project: Project): Record<string, Service> =>
  Object.fromEntries(Object.entries(project.services).map(([name, { image }]) => [name, image === undefined ? {} : { image }]));

/** A reference with registry and tag in full; with a digest the tag is dropped. Undefined if it is not a reference. */
export const fullReference = (image: string): string | undefined => {
  const match = REFERENCE.exec(image);
  if (match === null) {
    return undefined;
  }
  const { path = '', tag, digest } = match.groups ?? {};
  const slash = path.indexOf('/');
  const first = slash === -1 ? '' : path.slice(0, slash);
  const hasDomain = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
  const domain = hasDomain ? first.replace(/^index\.docker\.io$/, 'docker.io') : 'docker.io';
  const rest = hasDomain ? path.slice(slash + 1) : path;
  const repository = domain === 'docker.io' && !rest.includes('/') ? `library/${rest}` : rest;
  const name = `${domain}/${repository}`;
  if (!PATH.test(repository)) {
    return undefined;
  }
  return digest === undefined ? `${name}:${tag ?? 'latest'}` : `${name}@${digest}`;
};

const pin = async (image: string, service: string, resolve: DigestResolver): Promise<string> => {
  const full = fullReference(image);
  if (full === undefined) {
    throw new HyprError('COMPOSE_INVALID', `service "${service}": "${image}" is not an image reference`, {
      hint: 'write [REGISTRY/]NAME[:TAG], in lower-case letters',
    });
  }
  return full.includes('@') ? full : `${full}@${await resolve(full)}`;
};

const LANES = 4;
const REFERENCE =
  /^(?<path>(?:[A-Za-z0-9.-]+(?::\d+)?\/)?[a-z0-9._/-]+)(?::(?<tag>[\w][\w.-]{0,127}))?(?:@(?<digest>[a-z0-9+._-]+:[0-9a-f]{32,}))?$/;
const PATH = /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*$/;
