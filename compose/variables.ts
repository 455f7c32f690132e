import type { Node } from './node.ts';
import { parseTemplate, TemplateError } from './template.ts';

/** A variable that a model uses, as `config --variables` lists it. */
export interface Variable {
  readonly name: string;
  readonly defaultValue: string;
  readonly presenceValue: string;
  readonly required: boolean;
}

/** The variables of a model that was loaded without interpolation, by name. */
export const listVariables = (root: Node): Variable[] => {
  const found = new Map<string, Variable>();
  const visit = (node: Node): void => {
    if (node.kind === 'scalar') {
      if (typeof node.value === 'string') {
        collect(node.value, found, 0);
      }
      return;
    }
    for (const child of node.kind === 'map' ? node.entries.values() : node.items) {
      visit(child);
    }
  };
  visit(root);
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
};

const collect = (text: string, found: Map<string, Variable>, depth: number): void => {
  if (!text.includes('$') || depth > MAX_DEPTH) {
    return;
  }
  for (const part of partsOf(text)) {
    if ('text' in part) {
      continue;
    }
    const { name, operator = '', operand = '' } = part;
    found.set(name, {
      name,
      defaultValue: operator.endsWith('-') ? operand : '',
      presenceValue: operator.endsWith('+') ? operand : '',
      required: operator.endsWith('?'),
    });
    if (!operator.endsWith('?')) {
      collect(operand, found, depth + 1);
    }
  }
};

/** The parts before the first reference that is broken, as of a short form that was split within one. */
const partsOf = (text: string): ReturnType<typeof parseTemplate> => {
  let rest = text;
  for (let tries = 0; tries < MAX_BROKEN && rest !== ''; tries++) {
    try {
      return parseTemplate(rest);
    } catch (error) {
      if (!(error instanceof TemplateError)) {
        throw error;
      }
      rest = rest.slice(0, Math.max(0, rest.lastIndexOf('$')));
    }
  }
  return [];
};

/** Broken references in one value that are looked behind. */
const MAX_BROKEN = 20;

const MAX_DEPTH = 50;
