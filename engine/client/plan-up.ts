import type { Image } from '../../builder/model/types.ts';
import type { Project } from '../../compose/model/model.ts';
import { openPlatform } from '../host.ts';
import { planImages } from '../images/images.ts';
import type { Platform } from '../model/platform.ts';
import { stackPaths } from '../model/stack-paths.ts';
import type { UpOptions } from '../model/types.ts';
import { describeDesired } from '../plan/desired.ts';
import { observeStack } from '../plan/observe.ts';
import { formatPlan } from '../plan/plan.ts';
import { reconcile } from '../plan/reconcile.ts';
import { orderServices } from '../resolve/dependencies.ts';
import { neededImages } from '../resolve/needed-images.ts';
import { withOwnContainers } from '../resolve/own-containers.ts';
import { checkServices } from '../resources/check-services.ts';
import type { StateStore } from '../state/store.ts';

/** The text of `up --dry-run`: what would happen to images, then the plan. Changes nothing. */
export const planUp = async (input: { project: Project; options: UpOptions; store: StateStore }): Promise<string> => {
  const { options, store } = input;
  const project = withOwnContainers(input.project);
  const platform = askedOnce(await openPlatform({ runDir: stackPaths(project.name).runDir }));
  const services = orderServices(project, options.services, { withDependencies: !options.noDeps });
  checkServices(project, services, store);
  const actions = await planImages({ ...neededImages(project, services), options, platform });
  const images: Record<string, Image> = {};
  for (const action of actions) {
    const present = await platform.findImage(action.reference);
    images[action.service] = present !== undefined && action.action !== 'build' ? present : UNKNOWN_IMAGE;
  }
  const desired = await describeDesired({ project, services, images, scale: options.scale });
  const lines = actions
    .filter((action) => action.action !== 'none')
    .map((action) => `${action.action} ${action.reference} (${action.cause})\n`);
  const stale = [...new Set(actions.flatMap((action) => (action.stale === undefined ? [] : [`! ${action.stale}\n`])))];
  return lines.join('') + stale.join('') + formatPlan(reconcile(desired, observeStack(store, project.name), options));
};

/** Looks each image up only once: thousands of services may share one, and nothing changes during planning. */
const askedOnce = (platform: Platform): Platform => {
  const known = new Map<string, Promise<Image | undefined>>();
  const findImage = (reference: string): Promise<Image | undefined> => {
    const found = known.get(reference) ?? platform.findImage(reference);
    known.set(reference, found);
    return found;
  };
  return { ...platform, findImage };
};

/** A placeholder for an image that is not known until it is pulled or built. */
const UNKNOWN_IMAGE: Image = {
  id: 'unknown until pulled or built',
  manifestDigest: '',
  references: [],
  platform: '',
  created: 0,
  size: 0,
  config: { Env: [], Entrypoint: null, Cmd: null, WorkingDir: '', User: '', ExposedPorts: {}, Volumes: {}, Labels: {} },
  layers: [],
};
