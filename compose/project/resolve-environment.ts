import { type Node, stringOf } from '../source/node.ts';
import { PathTable, rewrite } from '../source/path-table.ts';

/**
 * Gives `environment: [NAME]` the caller's value. Secrets and configs from a variable keep only its
 * name: their value never enters the model.
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

const RULES = new PathTable<Rule>({ 'services.*.environment': inherited });
