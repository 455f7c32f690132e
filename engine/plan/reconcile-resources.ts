import type { UpOptions } from '../model/types.ts';
import { volumesOf, volumeToMake } from '../resources/volumes.ts';
import type { Desired, DesiredService } from './desired-state.ts';
import type { ObservedReplica, ObservedStack } from './observe.ts';
import type { PlanBuilder } from './plan.ts';

export interface ResourceOptions {
  readonly plan: PlanBuilder;
  readonly desired: Desired;
  readonly observed: ObservedStack;
  readonly options: UpOptions;
  /** Plans the removal of a replica that has what is replaced; gives its node. */
  readonly evict: (replica: ObservedReplica, cause: string) => number;
  /** Plans that a replica is off, so that it can be started on other networks; gives the node, if it has to be stopped for that. */
  readonly detach: (replica: ObservedReplica, cause: string) => number[];
}

/** Plans the networks and volumes of `up`: what is missing is created, what has changed is replaced. */
export class ResourcePlan {
  readonly #options: ResourceOptions;
  /** Network key or volume name → the node that creates it. */
  readonly #resources = new Map<string, number>();
  /** The nodes that remove what is replaced. */
  readonly #removedNetworks: number[] = [];

  constructor(options: ResourceOptions) {
    this.#options = options;
  }

  add(services: readonly string[]): void {
    this.#replaceNetworks(services);
    this.#replaceVolumes(services);
    this.#resourcesFor(services);
  }

  /**
   * Replaces networks whose configuration changed, after stopping everything attached to them. All go before the first is
   * made, because their subnets may move from one to another.
   */
  #replaceNetworks(services: readonly string[]): void {
    const { plan, desired, observed, detach } = this.#options;
    const used = new Set(services.flatMap((service) => desired.services[service]?.networks ?? []));
    const changed = [...used]
      .sort()
      .filter((key) => observed.networks[key] !== undefined && observed.networks[key] !== desired.networks[key]);
    const cause = (key: string): string => `the configuration of network ${key} changed`;
    for (const key of changed) {
      // Also services that this plan is not about or that leave it: no machine can stay on a network that is gone.
      const users = observed.replicas.filter(({ spec }) => spec.networks.some((network) => network.key === key));
      const stops = users.flatMap((replica) => detach(replica, cause(key)));
      this.#removedNetworks.push(plan.add({ type: 'remove-network', network: key, toRecreate: true }, cause(key), stops));
    }
    for (const key of changed) {
      this.#resources.set(key, plan.add({ type: 'create-network', network: key }, cause(key), this.#removedNetworks));
    }
  }

  /**
   * Replaces volumes as asked, after removing everything of this stack that has them. Throws, before any is removed, where one could
   * not be made again.
   */
  #replaceVolumes(services: readonly string[]): void {
    const used = new Set(services.flatMap((service) => this.#options.desired.services[service]?.volumes ?? []));
    const cause = (name: string): string => `the configuration of volume ${name} changed`;
    for (const name of [...new Set(this.#options.options.recreateVolumes ?? [])].sort()) {
      if (!used.has(name) || !this.#options.observed.volumes.has(name)) {
        continue;
      }
      volumeToMake(this.#options.desired.project, name);
      const users = this.#options.observed.replicas.filter((replica) =>
        volumesOf(this.#options.desired.project, replica.service).includes(name),
      );
      const removals = users.map((replica) => this.#options.evict(replica, cause(name)));
      for (const { service, name: replica } of users.filter((user) => !user.oneOff && !services.includes(user.service))) {
        this.#options.plan.warn(`${replica} has volume ${name}, too, and is removed: "hypr compose up ${service}" makes it again`);
      }
      const removed = this.#options.plan.add({ type: 'remove-volume', volume: name, toRecreate: true }, cause(name), removals);
      this.#resources.set(name, this.#options.plan.add({ type: 'create-volume', volume: name }, cause(name), [removed]));
    }
  }

  #resourcesFor(services: readonly string[]): void {
    const unused = this.#unused();
    const networks = new Set([
      ...services.flatMap((service) => this.#options.desired.services[service]?.networks ?? []),
      ...unused.networks,
    ]);
    for (const key of [...networks].sort()) {
      if (this.#options.observed.networks[key] === undefined) {
        this.#resources.set(
          key,
          this.#options.plan.add({ type: 'create-network', network: key }, 'no such network yet', this.#removedNetworks),
        );
      }
    }
    const volumes = new Set([...services.flatMap((service) => this.#options.desired.services[service]?.volumes ?? []), ...unused.volumes]);
    for (const name of [...volumes].sort()) {
      if (!this.#options.observed.volumes.has(name)) {
        this.#resources.set(name, this.#options.plan.add({ type: 'create-volume', volume: name }, 'no such volume yet'));
      }
    }
  }

  /** Networks and volumes that the model keeps although no service of it has them: it was loaded with `--all-resources`. */
  #unused(): { networks: string[]; volumes: string[] } {
    const { project } = this.#options.desired;
    const services = [...Object.values(project.services), ...Object.values(project.disabledServices)];
    const networks = new Set(services.flatMap((service) => Object.keys(service.networks ?? {})));
    const volumes = new Set(services.flatMap((service) => (service.volumes ?? []).map(({ source }) => source)));
    const isOurs = ([, config]: [string, { external?: boolean }]) => config.external !== true;
    return {
      networks: Object.entries(project.networks)
        .filter(isOurs)
        .flatMap(([key]) => (networks.has(key) || key === 'default' ? [] : [key])),
      volumes: Object.entries(project.volumes)
        .filter(isOurs)
        .flatMap(([key, { name }]) => (volumes.has(key) || volumes.has(name) ? [] : [name ?? key])),
    };
  }

  /** The nodes that create what a service needs. */
  nodesOf(wanted: Pick<DesiredService, 'networks' | 'volumes'>): number[] {
    return [...wanted.networks, ...wanted.volumes].flatMap((name) => this.#resources.get(name) ?? []);
  }
}
