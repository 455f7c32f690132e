import { realpathSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { type Node, stringOf, withEntries } from '../source/node.ts';
import { PathTable, rewrite } from '../source/path-table.ts';
import { errorAt } from '../source/source.ts';
import { isWindowsAbsolute } from './volumes.ts';

/**
 * Resolves the paths of a model against `base`: they are absolute at the top level, and still relative in files
 * that are included or extended with a relative base. URLs and service references are not changed.
 * @throws COMPOSE_INVALID for a bind mount without source
 */
export const resolvePaths = (root: Node, base: Base): Node => rewrite(root, RULES, (rule, node) => rule(node, base));

/** The base of relative paths, and the value of `~`. */
export interface Base {
  readonly folder: string;
  readonly home: string;
}

type Rule = (node: Node, base: Base) => Node;

const under = (base: Base, path: string): string => {
  const expanded = path === '~' || path.startsWith('~/') ? join(base.home, path.slice(1)) : path;
  return expanded === '' || isAbsolute(expanded) ? expanded : join(base.folder, expanded).replace(/(.)\/$/, '$1');
};

const onText =
  (change: (text: string, base: Base) => string): Rule =>
  (node, base) => {
    const text = stringOf(node);
    return text === undefined ? node : { ...node, kind: 'scalar', value: change(text, base) };
  };

const plain = onText((text, base) => under(base, text));

const hostPath = onText((text, base) => (isWindowsAbsolute(text) ? text : under(base, text === '' ? '.' : text)));

const context = onText((text, base) => (isRemoteContext(text) ? text : under(base, text)));

/** A context that is not a folder: a URL, a Git reference, another service. */
export const isRemoteContext = (text: string): boolean =>
  text.includes('://') || text.startsWith('service:') || text.startsWith('github.com/') || text.startsWith('git@');

const watched = onText((text, base) => {
  const path = under(base, text);
  if (!isAbsolute(path)) {
    return path;
  }
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
});

const mount: Rule = (node, base) => {
  if (node.kind !== 'map' || stringOf(node.entries.get('type')) !== 'bind') {
    return node;
  }
  const source = node.entries.get('source');
  if (source === undefined) {
    throw errorAt('COMPOSE_INVALID', 'a bind mount has no source', {
      mark: node.mark,
      hint: 'add "source:", a folder or file on this host',
    });
  }
  return withEntries(node, { source: hostPath(source, base) });
};

/** A `local` volume with `o: bind` is a bind mount in disguise. */
const volume: Rule = (node, base) => {
  const options = node.kind === 'map' ? node.entries.get('driver_opts') : undefined;
  if (node.kind !== 'map' || options?.kind !== 'map' || stringOf(node.entries.get('driver')) !== 'local') {
    return node;
  }
  const device = options.entries.get('device');
  if (device === undefined || stringOf(options.entries.get('o')) !== 'bind') {
    return node;
  }
  return withEntries(node, { driver_opts: withEntries(options, { device: hostPath(device, base) }) });
};

const extended = onText((text, base) => (text.includes('://') || text.startsWith('git@') ? text : under(base, text)));

const RULES = new PathTable<Rule>({
  'services.*.build.context': context,
  'services.*.build.additional_contexts.*': context,
  'services.*.build.ssh.*': hostPath,
  'services.*.env_file.*.path': plain,
  'services.*.label_file.*': plain,
  'services.*.extends.file': extended,
  'services.*.develop.watch.*.path': watched,
  'services.*.volumes.*': mount,
  'configs.*.file': hostPath,
  'secrets.*.file': hostPath,
  'volumes.*': volume,
});
