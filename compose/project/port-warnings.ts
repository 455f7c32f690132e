import type { Project } from '../model/model.ts';
import type { Warnings } from '../model/warnings.ts';
import { type MapNode, type Node, nearestNode, textOf } from '../source/node.ts';

/**
 * Lists of ports are appended when files merge, so an override meant to move a port publishes it twice. Warns with both
 * locations when entries of different files publish the same container port.
 */
export const warnDuplicatePorts = (project: Project, tree: MapNode, warnings: Warnings): void => {
  for (const name of Object.keys(project.services)) {
    const ports = nearestNode(tree, ['services', name, 'ports']);
    if (ports.depth !== 3 || ports.node.kind !== 'list') {
      continue;
    }
    const first = new Map<string, Node>();
    for (const port of ports.node.items) {
      const key = `${field(port, 'target')}/${field(port, 'protocol') || 'tcp'}`;
      const earlier = first.get(key);
      if (earlier === undefined) {
        first.set(key, port);
      } else if (earlier.mark.source !== port.mark.source && field(earlier, 'published') !== field(port, 'published')) {
        const message = `service "${name}" publishes its port ${key} twice: on ${hostPort(earlier)} and on ${hostPort(port)}`;
        warnings.add('duplicate-port', message, port.mark, {
          also: [earlier.mark],
          hint: 'lists append when files merge; write "ports: !override" to replace the earlier ones',
        });
      }
    }
  }
};

const hostPort = (port: Node): string => field(port, 'published') || 'a random port';

const field = (port: Node, name: string): string => {
  const value = port.kind === 'map' ? port.entries.get(name) : undefined;
  return value?.kind === 'scalar' ? textOf(value.value) : '';
};
