import { formatPlace } from '../../base/errors.ts';
import { listVariables } from '../interpolate/variables.ts';
import { type MapNode, type Node, nearestNode, type Path, toPlain } from '../source/node.ts';
import type { Origins, VariableOrigin } from '../source/origins.ts';
import { type Mark, placeOfMark } from '../source/source.ts';

/**
 * Where the value at a dotted path comes from, what it replaced, what `!reset` removed and which
 * variables are in it; for mappings and lists, each part. Undefined if nothing is there.
 */
export const explain = (tree: MapNode, dotted: string, variables: Origins): string[] | undefined => {
  const path = pathOf(dotted);
  const { node, depth } = nearestNode(tree, path);
  if (depth === path.length) {
    return describe(node, dotted, variables);
  }
  const last = path.at(-1) ?? '';
  const removed = depth === path.length - 1 ? node.removed?.get(last) : undefined;
  return removed === undefined ? undefined : [describeRemoved(removed, dotted)];
};

/** `services.web.ports[0].target` as its parts. */
export const pathOf = (dotted: string): Path =>
  dotted
    .replace(/\[(\d+)\]/g, '.[$1]')
    .split('.')
    .filter(Boolean);

const describe = (node: Node, path: string, variables: Origins): string[] => {
  const removed = [...(node.removed ?? [])]
    .filter(([key]) => node.kind !== 'map' || !node.entries.has(key))
    .map(([key, old]) => describeRemoved(old, path === '' ? key : `${path}.${key}`));
  if (node.kind === 'map' && node.entries.size > 0) {
    const parts = [...node.entries].flatMap(([key, value]) => {
      const was = node.removed?.get(key);
      return [...describe(value, path === '' ? key : `${path}.${key}`, variables), ...(was === undefined ? [] : [replaces(was)])];
    });
    return [...lostLines(node), ...parts, ...removed];
  }
  if (node.kind === 'list' && node.items.length > 0) {
    return [...lostLines(node), ...node.items.flatMap((item, i) => describe(item, `${path}[${i}]`, variables)), ...removed];
  }
  return [`${path}: ${show(node)}  # ${origin(node)}`, ...variableLines(node, variables), ...lostLines(node), ...removed];
};

const describeRemoved = (node: Node, path: string): string => `${path}: removed by !reset; was ${show(node)}  # ${origin(node)}`;

const lostLines = (node: Node): string[] => (node.lost ?? []).map(replaces);

const replaces = (node: Node): string => `    replaces ${show(node)}  # ${origin(node)}`;

/** The value as written, and the source of each variable in it. */
const variableLines = (node: Node, variables: Origins): string[] => {
  if (node.kind !== 'scalar' || node.template === undefined) {
    return [];
  }
  const names = listVariables({ kind: 'scalar', value: node.template, mark: node.mark }).map(({ name }) => name);
  return [`    written ${JSON.stringify(node.template)}`, ...names.flatMap((name) => describeVariable(name, variables.of(name)))];
};

const describeVariable = (name: string, origins: readonly VariableOrigin[]): string[] => {
  const [winner, ...others] = origins;
  if (winner === undefined) {
    return [`    ${name} is not set`];
  }
  return [
    `    ${name} is ${JSON.stringify(winner.value)}  # ${giver(winner.mark)}`,
    ...others.map(({ value, mark }) => `        not ${JSON.stringify(value)}  # ${giver(mark)}`),
  ];
};

const giver = (mark: Mark | undefined): string => (mark === undefined ? 'the environment' : formatPlace(placeOfMark(mark)));

const show = (node: Node): string => {
  const text = JSON.stringify(toPlain(node), (_, value) => (typeof value === 'bigint' ? String(value) : value)) ?? 'null';
  return text.length > 120 ? `${text.slice(0, 117)}…` : text;
};

const origin = (node: Node): string => (node.mark.offset < 0 ? 'implied' : formatPlace(placeOfMark(node.mark)));
