import { type Node, stringOf, withEntries } from './node.ts';
import { PathTable, rewrite } from './path-table.ts';

/**
 * Gives `environment: [NAME]` the caller's value, and configs from a variable their content. Secrets
 * from a variable keep only its name: their value never enters the model.
 */
export const resolveEnvironment = (root: Node, environment: ReadonlyMap<string, string>): Node =>
  rewrite(root, RULES, (rule, node) => rule(node, environment));

type Rule = (node: Node, environment: ReadonlyMap<string, string>) => Node;

const inherited: Rule = (node, environment) => {
  if (node.kind !== 'list') {
    return node;
  }
  return {
    ...node,
    items: node.items.map((item) => {
      const name = stringOf(item);
      const value = name === undefined || name.includes('=') ? undefined : environment.get(name);
      return value === undefined ? item : { ...item, kind: 'scalar' as const, value: `${name}=${value}` };
    }),
  };
};

const content: Rule = (node, environment) => {
  const name = node.kind === 'map' ? node.entries.get('environment') : undefined;
  const value = environment.get(stringOf(name) ?? '');
  return node.kind !== 'map' || name === undefined || value === undefined
    ? node
    : withEntries(node, { content: { kind: 'scalar', value, mark: name.mark } });
};

const RULES = new PathTable<Rule>({ 'services.*.environment': inherited, 'configs.*': content });
