import { isIpAddress } from '../../base/ip-address.ts';
import { type MapNode, type Node, type Path, stringOf } from '../source/node.ts';
import { formatPath, PathTable, rewrite } from '../source/path-table.ts';
import { errorAt } from '../source/source.ts';

/**
 * What the schema cannot say: attributes that exclude each other, blank paths, addresses.
 * @throws COMPOSE_INVALID
 */
export const validateModel = (root: Node): Node =>
  rewrite(root, RULES, (rule, node, path) => {
    rule(node, path);
    return node;
  });

type Rule = (node: Node, path: Path) => void;

const volume: Rule = (node, path) => {
  if (node.kind !== 'map' || !isTrue(node.entries.get('external'))) {
    return;
  }
  for (const [key, value] of node.entries) {
    if (key !== 'name' && key !== 'external' && !key.startsWith('x-')) {
      throw errorAt('COMPOSE_INVALID', `${formatPath(path)} is external and cannot have "${key}"`, {
        mark: value.keyMark ?? value.mark,
        hint: 'an external volume exists already; only its name can be given',
      });
    }
  }
};

const isTrue = (node: Node | undefined): boolean => node?.kind === 'scalar' && (node.value === true || node.value === 'true');

const fileObject =
  (...keys: string[]): Rule =>
  (node, path) => {
    const entries = node.kind === 'map' ? (node as MapNode).entries : new Map<string, Node>();
    const present = keys.filter((key) => entries.has(key));
    if (present.length > 1) {
      throw errorAt('COMPOSE_INVALID', `${formatPath(path)} has ${present.join(' and ')}; only one of them is possible`, {
        mark: entries.get(present[1] ?? '')?.keyMark ?? node.mark,
      });
    }
    if (present.length === 0 && !entries.has('driver') && !entries.has('external')) {
      throw errorAt('COMPOSE_INVALID', `${formatPath(path)} says nothing of where its content comes from`, {
        mark: node.keyMark ?? node.mark,
        hint: `add one of: ${keys.join(', ')}, external`,
      });
    }
  };

const address: Rule = (node, path) => {
  const ip = node.kind === 'map' ? stringOf(node.entries.get('host_ip')) : undefined;
  if (ip !== undefined && !isIpAddress(ip)) {
    throw errorAt('COMPOSE_INVALID', `${formatPath(path)}: "${ip}" is not an IP address`, {
      mark: node.kind === 'map' ? (node.entries.get('host_ip')?.mark ?? node.mark) : node.mark,
    });
  }
};

const watchPath: Rule = (node, path) => {
  if (stringOf(node) === '') {
    throw errorAt('COMPOSE_INVALID', `${formatPath(path)} must not be blank`, { mark: node.mark });
  }
};

const deviceRequest: Rule = (node, path) => {
  if (node.kind === 'map' && node.entries.has('count') && node.entries.has('device_ids')) {
    throw errorAt('COMPOSE_INVALID', `${formatPath(path)} has count and device_ids; only one of them is possible`, { mark: node.mark });
  }
};

const RULES = new PathTable<Rule>({
  'volumes.*': volume,
  'configs.*': fileObject('file', 'environment', 'content'),
  'secrets.*': fileObject('file', 'environment'),
  'services.*.ports.*': address,
  'services.*.develop.watch.*.path': watchPath,
  'services.*.deploy.resources.reservations.devices.*': deviceRequest,
  'services.*.gpus.*': deviceRequest,
});
