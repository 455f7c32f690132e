import { type Node, scalar, textOf, withEntries } from '../source/node.ts';
import { PathTable, rewrite } from '../source/path-table.ts';

/** Values that the specification gives to attributes left out. */
export const setDefaults = (root: Node): Node => rewrite(root, RULES, (rule, node) => rule(node));

type Rule = (node: Node) => Node;

const build: Rule = (node) =>
  node.kind === 'map' && !node.entries.has('context') ? withEntries(node, { context: scalar('.', { mark: node.mark }) }) : node;

const secret: Rule = (node) => {
  if (node.kind !== 'map' || node.entries.has('target')) {
    return node;
  }
  const source = node.entries.get('source');
  const name = source?.kind === 'scalar' ? textOf(source.value) : '';
  return withEntries(node, { target: scalar(`/run/secrets/${name}`, { mark: node.mark }) });
};

const port: Rule = (node) =>
  node.kind === 'map'
    ? withEntries(node, {
        protocol: node.entries.get('protocol') ?? scalar('tcp', { mark: node.mark }),
        mode: node.entries.get('mode') ?? scalar('ingress', { mark: node.mark }),
      })
    : node;

const deviceRequest: Rule = (node) =>
  node.kind === 'map' && !node.entries.has('count') && !node.entries.has('device_ids')
    ? withEntries(node, { count: scalar('all', { mark: node.mark }) })
    : node;

const bind: Rule = (node) =>
  node.kind === 'map' && !node.entries.has('create_host_path')
    ? withEntries(node, { create_host_path: scalar(true, { mark: node.mark }) })
    : node;

const RULES = new PathTable<Rule>({
  'services.*.build': build,
  'services.*.secrets.*': secret,
  'services.*.ports.*': port,
  'services.*.deploy.resources.reservations.devices.*': deviceRequest,
  'services.*.gpus.*': deviceRequest,
  'services.*.volumes.*.bind': bind,
});
