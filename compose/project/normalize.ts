import { cleanPath } from '../merge/canonical.ts';
import { isNull, type MapNode, map, mapAt, type Node, scalar, stringOf, withEntries } from '../source/node.ts';
import type { Mark } from '../source/source.ts';

/**
 * Adds what a model implies: the default network, dependencies by `links`, shared namespaces and
 * `volumes_from`, the Dockerfile's name, names of resources.
 */
export const normalize = (root: MapNode, options: { name: string; environment: ReadonlyMap<string, string> }): MapNode => {
  const services = new Map<string, Node>();
  for (const [name, service] of mapAt(root, 'services')?.entries ?? []) {
    services.set(name, service.kind === 'map' ? normalizeService(service, options.environment) : service);
  }
  const withServices = withEntries(root, {
    name: scalar(options.name, { mark: root.mark }),
    ...(services.size === 0 ? {} : { services: { ...map(services, root.entries.get('services') ?? root) } }),
  });
  return nameResources(addDefaultNetwork(withServices, services), options.name);
};

const normalizeService = (service: MapNode, environment: ReadonlyMap<string, string>): MapNode => {
  const changes: Record<string, Node | undefined> = {
    depends_on: impliedDependencies(service),
    build: normalizeBuild(service, environment),
    environment: inheritValues(service.entries.get('environment'), environment, true),
    volumes: cleanTargets(service.entries.get('volumes')),
    pre_start: inheritImage(service),
  };
  const policy = service.entries.get('pull_policy');
  if (policy !== undefined && stringOf(policy) === 'if_not_present') {
    changes.pull_policy = { ...policy, kind: 'scalar', value: 'missing' };
  }
  if (usesNetworks(service)) {
    const networks = service.entries.get('networks');
    if (networks === undefined || isNull(networks) || (networks.kind === 'map' && networks.entries.size === 0)) {
      changes.networks = map([['default', scalar(null, { mark: service.mark })] as const], networks ?? { mark: service.mark });
    }
  }
  return withEntries(service, changes);
};

const usesNetworks = (service: MapNode): boolean => !service.entries.has('provider') && !service.entries.has('network_mode');

const normalizeBuild = (service: MapNode, environment: ReadonlyMap<string, string>): Node | undefined => {
  const build = service.entries.get('build');
  if (build?.kind !== 'map') {
    return build;
  }
  const { entries, mark } = build;
  const inline = !isNull(entries.get('dockerfile')) || !isNull(entries.get('dockerfile_inline'));
  return withEntries(build, {
    context: isNull(entries.get('context')) ? scalar('.', { mark }) : entries.get('context'),
    dockerfile: inline ? entries.get('dockerfile') : scalar('Dockerfile', { mark }),
    args: inheritValues(entries.get('args'), environment, false),
  });
};

/** Names without a value take the caller's. When the caller has none either, they are kept or dropped. */
const inheritValues = (node: Node | undefined, environment: ReadonlyMap<string, string>, keep: boolean): Node | undefined => {
  if (node?.kind === 'map') {
    const entries = [...node.entries].flatMap(([key, value]) => {
      const inherited = isNull(value) ? environment.get(key) : undefined;
      if (inherited !== undefined) {
        return [[key, { ...value, kind: 'scalar', value: inherited } as Node] as const];
      }
      return isNull(value) && !keep ? [] : [[key, value] as const];
    });
    return { ...node, entries: new Map(entries) };
  }
  if (node?.kind === 'list') {
    const items = node.items.flatMap((item) => {
      const text = stringOf(item);
      const inherited = text === undefined || text.includes('=') ? undefined : environment.get(text);
      if (inherited !== undefined) {
        return [{ ...item, kind: 'scalar', value: `${text}=${inherited}` } as Node];
      }
      return text?.includes('=') || keep ? [item] : [];
    });
    return { ...node, items };
  }
  return node;
};

const cleanTargets = (volumes: Node | undefined): Node | undefined => {
  if (volumes?.kind !== 'list') {
    return volumes;
  }
  const clean = (mount: Node): Node => {
    const target = mount.kind === 'map' ? mount.entries.get('target') : undefined;
    const text = stringOf(target);
    return mount.kind !== 'map' || target === undefined || text === undefined
      ? mount
      : withEntries(mount, { target: { ...target, kind: 'scalar', value: cleanPath(text) } });
  };
  return { ...volumes, items: volumes.items.map(clean) };
};

const inheritImage = (service: MapNode): Node | undefined => {
  const hooks = service.entries.get('pre_start');
  const image = service.entries.get('image');
  if (hooks?.kind !== 'list' || image === undefined || !stringOf(image)) {
    return hooks;
  }
  return {
    ...hooks,
    items: hooks.items.map((hook) => (hook.kind === 'map' && !hook.entries.has('image') ? withEntries(hook, { image }) : hook)),
  };
};

const impliedDependencies = (service: MapNode): Node | undefined => {
  const declared = service.entries.get('depends_on');
  const entries = new Map(declared?.kind === 'map' ? declared.entries : []);
  const imply = (name: string, mark: Mark, restart: boolean) => {
    if (!entries.has(name)) {
      const values = { condition: 'service_started', restart, required: true };
      entries.set(
        name,
        map(
          Object.entries(values).map(([key, value]) => [key, scalar(value, { mark })] as const),
          { mark, keyMark: mark },
        ),
      );
    }
  };
  for (const link of itemsOf(service, 'links')) {
    const parts = link.text.split(':');
    imply(parts.length === 2 ? (parts[0] ?? '') : link.text, link.mark, true);
  }
  for (const attribute of ['network_mode', 'ipc', 'pid', 'uts', 'cgroup']) {
    const node = service.entries.get(attribute);
    const shared = /^service:(.*)$/s.exec(stringOf(node) ?? '')?.[1];
    if (node !== undefined && shared !== undefined) {
      imply(shared, node.mark, true);
    }
  }
  for (const from of itemsOf(service, 'volumes_from')) {
    if (!from.text.startsWith('container:')) {
      imply(from.text.split(':')[0] ?? '', from.mark, false);
    }
  }
  return entries.size === 0 ? declared : map(entries, declared ?? { mark: service.mark });
};

const itemsOf = (service: MapNode, attribute: string): Array<{ text: string; mark: Mark }> => {
  const node = service.entries.get(attribute);
  return node?.kind === 'list' ? node.items.map((item) => ({ text: stringOf(item) ?? '', mark: item.mark })) : [];
};

const addDefaultNetwork = (root: MapNode, services: ReadonlyMap<string, Node>): MapNode => {
  const used = [...services.values()].some(
    (service) => service.kind === 'map' && usesNetworks(service) && mapAt(service, 'networks')?.entries.has('default'),
  );
  const networks = root.entries.get('networks');
  if (!used || mapAt(root, 'networks')?.entries.has('default')) {
    return root;
  }
  const entries = networks?.kind === 'map' ? networks.entries : [];
  return withEntries(root, { networks: map([...entries, ['default', scalar(null, { mark: root.mark })] as const], networks ?? root) });
};

/** A resource without a name is named after the project and its key; an external one after its key. */
const nameResources = (root: MapNode, project: string): MapNode => {
  const changes: Record<string, Node> = {};
  for (const kind of ['networks', 'volumes', 'configs', 'secrets']) {
    const resources = mapAt(root, kind);
    if (resources === undefined) {
      continue;
    }
    const entries = new Map<string, Node>();
    for (const [key, value] of resources.entries) {
      const resource = value.kind === 'map' ? value : map([], value);
      const external = resource.entries.get('external');
      const isExternal = external?.kind === 'scalar' && /^(true|t|1)$/i.test(String(external.value));
      const name = isNull(resource.entries.get('name'))
        ? scalar(isExternal ? key : `${project}_${key}`, { mark: resource.mark })
        : undefined;
      entries.set(key, name === undefined ? resource : withEntries(resource, { name }));
    }
    changes[kind] = { ...resources, entries };
  }
  return withEntries(root, changes);
};
