import type { Service } from '../model/model.ts';

type Services = Readonly<Record<string, Service>>;

/**
 * A dependency cycle (or a cycle of another relation given by `edgesOf`) as service names, the first repeated at the
 * end; undefined if there is none.
 */
export const findCycle = (
  services: Services,
  edgesOf: (services: Services, name: string) => string[] = dependenciesOf,
): string[] | undefined => {
  const state = new Map<string, 'open' | 'done'>();
  for (const start of Object.keys(services)) {
    // An explicit stack: chains of thousands of services must not overflow the real one.
    const stack = [{ name: start, next: edgesOf(services, start) }];
    if (state.has(start)) {
      continue;
    }
    state.set(start, 'open');
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const dependency = top.next.pop();
      if (dependency === undefined) {
        state.set(top.name, 'done');
        stack.pop();
      } else if (state.get(dependency) === 'open') {
        const names = stack.map(({ name }) => name);
        return [...names.slice(names.indexOf(dependency)), dependency];
      } else if (!state.has(dependency)) {
        state.set(dependency, 'open');
        stack.push({ name: dependency, next: edgesOf(services, dependency) });
      }
    }
  }
  return undefined;
};

/** Names with dependencies before the services that need them. */
export const inDependencyOrder = (services: Readonly<Record<string, Service>>): string[] => {
  const order: string[] = [];
  const seen = new Set<string>();
  for (const start of Object.keys(services).sort()) {
    const stack = [{ name: start, next: dependenciesOf(services, start) }];
    if (seen.has(start)) {
      continue;
    }
    seen.add(start);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const dependency = top.next.pop();
      if (dependency === undefined) {
        order.push(top.name);
        stack.pop();
      } else if (!seen.has(dependency)) {
        seen.add(dependency);
        stack.push({ name: dependency, next: dependenciesOf(services, dependency) });
      }
    }
  }
  return order;
};

const dependenciesOf = (services: Services, name: string): string[] =>
  Object.keys(services[name]?.depends_on ?? {})
    .filter((dependency) => Object.hasOwn(services, dependency))
    .sort()
    .reverse();
