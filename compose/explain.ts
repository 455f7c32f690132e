import { formatPlace } from '../base/errors.ts';
import { type MapNode, type Node, nearestNode, toPlain } from './node.ts';
import { placeOfMark } from './source.ts';

/**
 * Where the value at a dotted path came from, and what it replaced; for mappings and lists each part.
 * Undefined if nothing is there.
 */
export const explain = (tree: MapNode, dotted: string): string[] | undefined => {
  const path = dotted
    .replace(/\[(\d+)\]/g, '.[$1]')
    .split('.')
    .filter(Boolean);
  const { node, depth } = nearestNode(tree, path);
  return depth === path.length ? describe(node, dotted) : undefined;
};

const describe = (node: Node, path: string): string[] => {
  if (node.kind === 'map' && node.entries.size > 0) {
    return [...lostLines(node), ...[...node.entries].flatMap(([key, value]) => describe(value, path === '' ? key : `${path}.${key}`))];
  }
  if (node.kind === 'list' && node.items.length > 0) {
    return [...lostLines(node), ...node.items.flatMap((item, i) => describe(item, `${path}[${i}]`))];
  }
  return [`${path}: ${show(node)}  # ${origin(node)}`, ...lostLines(node)];
};

const lostLines = (node: Node): string[] => (node.lost ?? []).map((lost) => `    replaces ${show(lost)}  # ${origin(lost)}`);

const show = (node: Node): string => {
  const text = JSON.stringify(toPlain(node), (_, value) => (typeof value === 'bigint' ? String(value) : value)) ?? 'null';
  return text.length > 120 ? `${text.slice(0, 117)}…` : text;
};

const origin = (node: Node): string => (node.mark.offset < 0 ? 'implied' : formatPlace(placeOfMark(node.mark)));
