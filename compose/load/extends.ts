import type { HyprError } from '../../base/errors.ts';
import { mergeNodes } from '../merge/merge.ts';
import { type Budget, LIMITS, limitError } from '../model/limits.ts';
import { didYouMean } from '../model/suggest.ts';
import { describeKind, type MapNode, map, type Node, type Path, stringOf, withEntries } from '../source/node.ts';
import { applyResets } from '../source/reset.ts';
import { errorAt, type Mark } from '../source/source.ts';

interface ExtendsOptions {
  readonly file: string;
  readonly resets: readonly Path[];
  readonly budget: Budget;
  readonly loadFile: (path: string, mark: Mark) => Promise<{ services: MapNode | undefined; resets: readonly Path[]; file: string }>;
}

/** Services of one file, with the paths that the file resets. */
interface Scope {
  readonly file: string;
  readonly services: MapNode;
  readonly resets: readonly Path[];
}

/**
 * Replaces each service that `extends` another one by the merge of the two, transitively.
 * @throws COMPOSE_INVALID for cycles and for services that do not exist
 */
export const applyExtends = async (root: MapNode, options: ExtendsOptions): Promise<MapNode> => {
  const services = root.entries.get('services');
  if (services === undefined) {
    return root;
  }
  if (services.kind !== 'map') {
    throw errorAt('COMPOSE_INVALID', `services must be a mapping, not ${describeKind(services)}`, {
      mark: services.mark,
      hint: 'write each service below it, indented, by its name',
    });
  }
  if (![...services.entries.values()].some((service) => service.kind === 'map' && service.entries.has('extends'))) {
    return root;
  }
  const scope: Scope = { file: options.file, services, resets: options.resets };
  const done = new Map<string, Node>();
  const entries = new Map<string, Node>();
  for (const name of services.entries.keys()) {
    entries.set(name, await extendService(name, scope, { ...options, done, chain: [] }));
  }
  return withEntries(root, { services: map(entries, services) });
};

interface Work extends ExtendsOptions {
  /** Resolved services by file and name, so that each chain is walked once. */
  readonly done: Map<string, Node>;
  readonly chain: readonly { readonly key: string; readonly text: string }[];
}

const extendService = async (name: string, scope: Scope, work: Work): Promise<Node> => {
  const key = `${scope.file}\0${name}`;
  const finished = work.done.get(key);
  const service = scope.services.entries.get(name);
  const reference = service?.kind === 'map' ? service.entries.get('extends') : undefined;
  if (finished !== undefined || service?.kind !== 'map' || reference === undefined) {
    return finished ?? service ?? map([], scope.services);
  }
  const step = { key, text: `${name} (${scope.file})` };
  if (work.chain.some((earlier) => earlier.key === key)) {
    const circle = [...work.chain, step].map(({ text }) => text).join(' → ');
    throw errorAt('COMPOSE_INVALID', `extends forms a cycle: ${circle}`, {
      mark: reference.keyMark ?? reference.mark,
      hint: 'remove one of these extends',
    });
  }
  if (work.chain.length > LIMITS.extendsDepth) {
    throw limitError(`more than ${LIMITS.extendsDepth} services extend one another in a row`, reference.mark);
  }
  const base = await findBase(name, reference, scope, work);
  const baseService = await extendService(base.name, base.scope, { ...work, chain: [...work.chain, step] });
  const merged = mergeOntoBase({ name, baseService, service, resets: scope.resets });
  work.budget.countCopies(countNodes(baseService), reference.mark);
  work.done.set(key, merged);
  return merged;
};

const countNodes = (node: Node): number =>
  node.kind === 'scalar'
    ? 1
    : [...(node.kind === 'map' ? node.entries.values() : node.items)].reduce((sum, child) => sum + countNodes(child), 1);

const mergeOntoBase = (options: { name: string; baseService: Node; service: MapNode; resets: readonly Path[] }): Node => {
  const { name, baseService, service, resets } = options;
  if (baseService.kind !== 'map') {
    return withEntries(service, { extends: undefined });
  }
  const wrapped = map([['services', map([[name, baseService] as const], baseService)] as const], baseService);
  const reset = applyResets(wrapped, resets);
  const services = reset.kind === 'map' ? reset.entries.get('services') : undefined;
  const base = (services?.kind === 'map' ? services.entries.get(name) : undefined) ?? map([], baseService);
  const merged = mergeNodes(base, withEntries(service, { extends: undefined }), ['services', name]);
  const marks = service.keyMark === undefined ? { mark: service.mark } : { mark: service.mark, keyMark: service.keyMark };
  return merged.kind === 'map' ? { ...withEntries(merged, { extends: undefined }), ...marks } : merged;
};

const findBase = async (name: string, reference: Node, scope: Scope, work: Work): Promise<{ name: string; scope: Scope }> => {
  const long = reference.kind === 'map' ? reference.entries : undefined;
  const target = stringOf(long === undefined ? reference : long.get('service'));
  if (target === undefined) {
    throw errorAt('COMPOSE_INVALID', `services.${name}.extends has no service`, { mark: reference.mark, hint: 'add "service:"' });
  }
  const fileNode = long?.get('file');
  const file = stringOf(fileNode);
  if (fileNode === undefined || file === undefined) {
    if (!scope.services.entries.has(target)) {
      throw notFound(name, target, scope.services, reference);
    }
    return { name: target, scope };
  }
  const loaded = await work.loadFile(file, fileNode.mark);
  if (loaded.services === undefined || !loaded.services.entries.has(target)) {
    throw notFound(name, target, loaded.services, reference, loaded.file);
  }
  return { name: target, scope: { file: loaded.file, services: loaded.services, resets: loaded.resets } };
};

const notFound = (name: string, target: string, services: MapNode | undefined, reference: Node, file?: string): HyprError => {
  const names = [...(services?.entries.keys() ?? [])].filter((candidate) => candidate !== name || file !== undefined);
  const where = file === undefined ? '' : ` in ${file}`;
  return errorAt('COMPOSE_INVALID', `service "${name}" extends "${target}", which does not exist${where}`, {
    mark: reference.kind === 'map' ? (reference.entries.get('service')?.mark ?? reference.mark) : reference.mark,
    hint: didYouMean(target, names) ?? (names.length > 0 && names.length < 10 ? `services there: ${names.join(', ')}` : undefined),
  });
};
