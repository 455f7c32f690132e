import { LIMITS } from '../model/limits.ts';

/** Looks a variable up; undefined if it is not set. */
export type Lookup = (name: string) => string | undefined;

/** Why a template cannot be filled in; `offset` counts from the start of the template. */
export class TemplateError extends Error {
  readonly kind: 'invalid' | 'required' | 'limit';
  readonly variable: string | undefined;

  constructor(kind: 'invalid' | 'required' | 'limit', message: string, variable?: string) {
    super(message);
    this.kind = kind;
    this.variable = variable;
  }
}

export interface SubstituteOptions {
  readonly lookup: Lookup;
  /** Called for each variable that is neither set nor given a default. */
  readonly onUnset?: (name: string) => void;
}

/**
 * Fills in `$V`, `${V}` and the six operators (`:-` `-` `:?` `?` `:+` `+`); `$$` is a dollar. Defaults
 * nest and are looked at only when they are used (Compose Specification, interpolation).
 * @throws TemplateError
 */
export const substitute = (template: string, options: SubstituteOptions): string =>
  template.includes('$') ? fill(template, options, { depth: 0, steps: 0 }) : template;

/** The parts of a template: literal text and references. Shared with the listing of variables. */
export const parseTemplate = (template: string, cost: Cost = { depth: 0, steps: 0 }): TemplatePart[] => {
  const parts: TemplatePart[] = [];
  let at = 0;
  for (let dollar = template.indexOf('$'); dollar !== -1; dollar = template.indexOf('$', at)) {
    parts.push({ text: template.slice(at, dollar) });
    const next = template[dollar + 1];
    NAME.lastIndex = dollar + 1;
    const name = NAME.exec(template)?.[0];
    if (next === '$') {
      parts.push({ text: '$' });
      at = dollar + 2;
    } else if (next === '{') {
      const reference = cost.lenient === true ? tryBraced(template, dollar, cost) : parseBraced(template, dollar, cost);
      parts.push(reference ?? { text: '${' });
      at = reference?.end ?? dollar + 2;
    } else if (name !== undefined) {
      parts.push({ name, end: dollar + 1 + name.length });
      at = dollar + 1 + name.length;
    } else {
      parts.push({ text: '$' });
      at = dollar + 1;
    }
  }
  parts.push({ text: template.slice(at) });
  return parts;
};

export type TemplatePart = { readonly text: string } | Reference;

export interface Reference {
  readonly name: string;
  readonly operator?: string;
  readonly operand?: string;
  readonly end: number;
}

interface Cost {
  depth: number;
  steps: number;
  /** A broken reference is text, and reading goes on after its `${`. */
  readonly lenient?: boolean;
}

const fill = (template: string, options: SubstituteOptions, cost: Cost): string => {
  if (cost.depth > LIMITS.templateDepth) {
    throw new TemplateError('limit', `defaults are nested more than ${LIMITS.templateDepth} deep`);
  }
  let out = '';
  for (const part of parseTemplate(template, cost)) {
    out += 'text' in part ? part.text : resolveReference(part, options, cost);
    if (out.length > LIMITS.scalarLength) {
      throw new TemplateError('limit', `the value becomes longer than ${LIMITS.scalarLength} characters`);
    }
  }
  return out;
};

const resolveReference = (reference: Reference, options: SubstituteOptions, cost: Cost): string => {
  const { name, operator, operand = '' } = reference;
  const value = options.lookup(name);
  if (operator === undefined) {
    if (value === undefined) {
      options.onUnset?.(name);
    }
    return value ?? '';
  }
  const present = operator.startsWith(':') ? value !== undefined && value !== '' : value !== undefined;
  const nested = () => {
    cost.depth += 1;
    const filled = fill(operand, options, cost);
    cost.depth -= 1;
    return filled;
  };
  switch (operator.slice(-1)) {
    case '-':
      return present ? (value ?? '') : nested();
    case '+':
      return present ? nested() : (value ?? '');
    default: {
      if (present) {
        return value ?? '';
      }
      const reason = nested();
      throw new TemplateError('required', `the variable ${name} must be set${reason === '' ? '' : `: ${reason}`}`, name);
    }
  }
};

const tryBraced = (template: string, dollar: number, cost: Cost): Reference | undefined => {
  try {
    return parseBraced(template, dollar, cost);
  } catch (error) {
    if (error instanceof TemplateError && error.kind === 'invalid') {
      return undefined;
    }
    throw error;
  }
};

const parseBraced = (template: string, dollar: number, cost: Cost): Reference => {
  NAME.lastIndex = dollar + 2;
  const name = NAME.exec(template)?.[0];
  if (name === undefined) {
    throw invalidAt(template, dollar);
  }
  const afterName = dollar + 2 + name.length;
  if (template[afterName] === '}') {
    return { name, end: afterName + 1 };
  }
  OPERATOR.lastIndex = afterName;
  const operator = OPERATOR.exec(template)?.[0];
  const close = operator === undefined ? -1 : findClose(template, dollar, cost);
  if (operator === undefined || close < afterName + operator.length) {
    throw invalidAt(template, dollar);
  }
  return { name, operator, operand: template.slice(afterName + operator.length, close), end: close + 1 };
};

/**
 * The brace that closes the one after `dollar`. A reference does not span lines, and the character
 * after an inner `{` is never looked at: both are how compose reads it.
 */
const findClose = (template: string, dollar: number, cost: Cost): number => {
  let open = 0;
  let last = -1;
  for (let at = dollar; at < template.length && template[at] !== '\n'; at++) {
    cost.steps += 1;
    if (cost.steps > MAX_STEPS) {
      throw new TemplateError('limit', 'the braces of this value are too tangled');
    }
    if (template[at] === '}') {
      open -= 1;
      last = at;
      if (open === 0) {
        return at;
      }
    } else if (template[at] === '{') {
      open += 1;
      at += 1;
      if (template[at] === '}') {
        last = at;
      } else if (template[at] === '\n') {
        break;
      }
    }
  }
  return last;
};

const invalidAt = (template: string, dollar: number): TemplateError => {
  const shown = template.slice(dollar, dollar + 40).split('\n')[0] ?? '';
  const isOpen = template.startsWith('${', dollar) && !(template.slice(dollar).split('\n')[0] ?? '').includes('}');
  return new TemplateError('invalid', isOpen ? `"${shown}" has no closing brace` : `"${shown}" is not a variable`);
};

const NAME = /[_a-z][_a-z0-9]*/iy;
const OPERATOR = /:?[-+?]/y;
const MAX_STEPS = 5_000_000;
