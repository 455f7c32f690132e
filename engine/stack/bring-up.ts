import type { Progress } from '../../base/progress.ts';
import { traced } from '../../base/trace/trace.ts';
import type { BuildEvent, Image } from '../../builder/model/types.ts';
import type { Project } from '../../compose/model/model.ts';
import { ensureImages } from '../images/ensure-images.ts';
import { planImages } from '../images/images.ts';
import type { EventBus } from '../logs/bus.ts';
import type { LogStore } from '../logs/logs.ts';
import type { Platform } from '../model/platform.ts';
import type { UpOptions } from '../model/types.ts';
import { type DesiredStack, describeDesired } from '../plan/desired.ts';
import { observeStack } from '../plan/observe.ts';
import type { Plan } from '../plan/plan.ts';
import { reconcile } from '../plan/reconcile.ts';
import type { Replica } from '../replica/replica.ts';
import { orderServices } from '../resolve/dependencies.ts';
import { type NeededImages, neededImages } from '../resolve/needed-images.ts';
import type { OneOff } from '../resolve/one-off.ts';
import { withOwnContainers } from '../resolve/own-containers.ts';
import { checkServices } from '../resources/check-services.ts';
import type { PeerPolicies } from '../resources/peer-policies.ts';
import type { StateStore } from '../state/store.ts';
import { reportRunning } from './operations/progress.ts';
import { checkPlannedPorts } from './planned-ports.ts';
import { recordStack } from './stack-record.ts';

/** What an `up` or a one-off is to reach. */
export interface BringUpGoal {
  readonly project: Project;
  readonly options: UpOptions;
  readonly oneOff?: OneOff;
}

/** The stack that is brought up, as its supervisor has it. */
export interface BringUpStack {
  readonly stack: string;
  readonly store: StateStore;
  readonly platform: Platform;
  readonly bus: EventBus;
  readonly logs: LogStore;
  readonly replicas: Map<string, Replica>;
  readonly policies: PeerPolicies;
}

/** What `bringUp` found to be done. */
export interface BringUpWork {
  readonly plan: Plan;
  readonly desired: DesiredStack;
  readonly images: Readonly<Record<string, Image>>;
  /** Names of the services, each after those that it depends on. */
  readonly services: readonly string[];
}

/**
 * Prepares an `up` or a one-off: checks the model, records the stack, makes sure of the images (pulls and builds) and plans. Nothing is
 * started or ended yet. Throws what the model, the images and the ports of the host are refused with.
 */
export const prepareBringUp = async (of: BringUpStack, goal: BringUpGoal, signal: AbortSignal): Promise<BringUpWork> => {
  const { store, stack, platform, replicas, bus } = of;
  const { options } = goal;
  const project = withOwnContainers(goal.project);
  const oneOff = goal.oneOff && { ...goal.oneOff, project: withOwnContainers(goal.oneOff.project) };
  const services = orderServices(project, options.services, { withDependencies: !options.noDeps });
  checkServices(project, services, store);
  const needed = neededImages(project, services);
  const images = await makeSureOfImages(of, goal, needed, signal);
  const desired = await traced('describe what is wanted', undefined, () =>
    describeDesired({ project, services, images, scale: options.scale, ...(oneOff ? { oneOff } : {}) }),
  );
  const plan = reconcile(desired, observeStack(store, stack), options);
  await traced('check the ports', undefined, () => checkPlannedPorts({ plan, desired, replicas, platform }));
  reportRunning(bus, plan, oneOff ? [] : [...replicas.values()].filter(({ row }) => services.includes(row.service)));
  return { plan, desired, images, services };
};

const makeSureOfImages = async (
  of: BringUpStack,
  { project, options }: BringUpGoal,
  needed: NeededImages,
  signal: AbortSignal,
): Promise<Record<string, Image>> => {
  const { platform, bus } = of;
  const actions = await traced('plan the images', undefined, () => planImages({ ...needed, options, platform }));
  for (const message of new Set(actions.flatMap(({ stale }) => stale ?? []))) {
    bus.emit({ type: 'warning', message });
  }
  if (of.store.stack(of.stack) === undefined && of.replicas.size === 0) {
    // They are of a stack that was removed.
    await of.logs.clear();
  }
  // As the file has it, which is what is printed and compared later.
  recordStack(of, project, of.replicas);
  await traced('tell the policies', undefined, () => of.policies.apply(signal));
  const making = {
    project: needed.project,
    actions,
    platform,
    progress: (progress: Progress) => bus.emit({ type: 'progress', progress }),
    onBuild: (service: string, event: BuildEvent) => bus.emit({ type: 'build', service, event }),
    parallel: options.parallel,
  };
  return traced('make sure of the images', undefined, () => ensureImages(making, signal));
};
