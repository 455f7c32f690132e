import { limitError } from '../model/limits.ts';
import type { Node } from '../source/node.ts';
import type { Mark } from '../source/source.ts';
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
        collect(node.value, { found, mark: node.mark, depth: 0 });
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

interface Collecting {
  readonly found: Map<string, Variable>;
  readonly mark: Mark;
  readonly depth: number;
}

const collect = (text: string, state: Collecting): void => {
  const { found, mark, depth } = state;
  if (!text.includes('$') || depth > MAX_DEPTH) {
    return;
  }
  for (const part of partsOf(text, mark)) {
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
      collect(operand, { ...state, depth: depth + 1 });
    }
  }
};

/** All references but the broken ones, which a short form leaves that was split within one. */
const partsOf = (text: string, mark: Mark): ReturnType<typeof parseTemplate> => {
  try {
    return parseTemplate(text, { depth: 0, steps: 0, lenient: true });
  } catch (error) {
    throw error instanceof TemplateError ? limitError(error.message, mark) : error;
  }
};

const MAX_DEPTH = 50;
