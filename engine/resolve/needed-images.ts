import type { Project, Service } from '../../compose/model/model.ts';
import { preStartHooks, withPreStart } from './pre-start.ts';
import { donorsOf } from './volumes-from.ts';

/** What a start of services needs the images of: they, their `pre_start` hooks, what they mount as `type: image`, and whose volumes they share. */
export interface NeededImages {
  /** The model with a service for each hook and each mounted image; no service of a file can be called so. */
  readonly project: Project;
  readonly services: readonly string[];
}

export const neededImages = (project: Project, services: readonly string[]): NeededImages => {
  const whole = withPreStart(project, services);
  const hooks = services.flatMap((service) => preStartHooks(project, service).map(({ key }) => key));
  const all = [...new Set([...services, ...donorsOf(project, services)])];
  const sources = all.flatMap((name) => mountedImages(project.services[name]).map((source) => ({ name, source })));
  const mounted = sources.map(({ name, source }) => [imageMountKey(source), imageService(project.services[name], source)] as const);
  return {
    project: mounted.length === 0 ? whole : { ...whole, services: { ...whole.services, ...Object.fromEntries(mounted) } },
    services: [...new Set([...all, ...hooks, ...mounted.map(([key]) => key)])],
  };
};

/** The key of an image that is mounted, in the model that `neededImages` gives and among its images. */
export const imageMountKey = (source: string): string => `${source} (mounted)`;

const mountedImages = (service: Service | undefined): string[] =>
  (service?.volumes ?? []).flatMap(({ type, source }) => (type === 'image' && source ? [source] : []));

const imageService = (service: Service | undefined, image: string): Service => ({
  image,
  ...(service?.platform === undefined ? {} : { platform: service.platform }),
});
