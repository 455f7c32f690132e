import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  parseAllDocuments,
  Scalar,
  type YAMLMap,
  type YAMLParseError,
  type Node as YamlNode,
} from 'yaml';
import { type Budget, LIMITS, limitError } from './limits.ts';
import type { MapNode, Node, Path } from './node.ts';
import { formatPath } from './path-table.ts';
import { errorAt, type Mark, type SourceFile } from './source.ts';
import { resolvePlain } from './yaml-scalars.ts';

/** One YAML document: its tree, and the places whose value in earlier files is to be forgotten. */
export interface ParsedDocument {
  readonly root: Node;
  /** Paths under `!reset` (value dropped) and `!override` (value kept); list positions as `[0]`. */
  readonly resets: readonly Path[];
}

/**
 * Parses every document of a source. Aliases and merge keys are expanded within the budget.
 * @throws COMPOSE_SYNTAX with line, column and caret; COMPOSE_LIMIT for bombs
 */
export const parseYaml = (source: SourceFile, budget: Budget): ParsedDocument[] => {
  countTokens(source, budget);
  const documents = readDocuments(source);
  return documents.map((document) => {
    const problem = document.errors[0];
    if (problem?.message.includes('call stack')) {
      throw limitError('the file is nested too deeply', { source, offset: problem.pos[0] });
    }
    if (problem !== undefined) {
      throw errorAt('COMPOSE_SYNTAX', cleanMessage(problem.message), {
        mark: { source, offset: offsetOf(problem, source.text) },
        hint: hintFor(problem.code),
      });
    }
    return new TreeBuilder(source, budget).build(document);
  });
};

const readDocuments = (source: SourceFile): Document[] => {
  refuseDeepNesting(source);
  try {
    const parsed = parseAllDocuments(source.text, {
      schema: 'failsafe',
      merge: false,
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: 'silent',
      keepSourceTokens: false,
    });
    return Array.isArray(parsed) ? (parsed as Document[]) : [];
  } catch (error) {
    if (error instanceof RangeError) {
      throw limitError('the file is nested too deeply', { source, offset: 0 });
    }
    throw errorAt('COMPOSE_SYNTAX', error instanceof Error ? error.message : String(error), { mark: { source, offset: 0 }, cause: error });
  }
};

/**
 * Counts what the parser will make tokens of, roughly and from above, and stops as soon as that is too
 * much: the parser needs about ten microseconds and a kilobyte or two for each.
 */
const countTokens = (source: SourceFile, budget: Budget): void => {
  const { text } = source;
  let counted = 0;
  let quotes = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const weight = code < WEIGHTS.length ? (WEIGHTS[code] ?? 0) : 0;
    if (weight === BEFORE_BLANK) {
      counted += Number(text.charCodeAt(at + 1) === BLANK_CODE);
    } else if (weight === QUOTE) {
      quotes += 1;
      counted += quotes % 2;
    } else {
      counted += weight;
    }
    if (counted === TOKENS_AT_ONCE) {
      budget.countTokens(counted, { source, offset: at });
      counted = 0;
    }
  }
  budget.countTokens(counted, { source, offset: Math.max(0, text.length - 1) });
};

const BLANK_CODE = 0x20;
const BEFORE_BLANK = 2;
const QUOTE = 3;
const TOKENS_AT_ONCE = 1000;
const WEIGHTS = new Uint8Array(128);
for (const [characters, weight] of [
  ['\n,[]{}*&!', 1],
  [':-?', BEFORE_BLANK],
  ['"\'', QUOTE],
] as const) {
  for (const char of characters) {
    WEIGHTS[char.charCodeAt(0)] = weight;
  }
}

/**
 * A cheap look before the real parser, whose stack grows with depth: brackets that stay open, and
 * compact `- - -` at the start of a line. Brackets in strings count too, so only absurd numbers are refused.
 */
const refuseDeepNesting = (source: SourceFile): void => {
  const { text } = source;
  let open = 0;
  for (const match of text.matchAll(/[[{]+|[\]}]+|^(?:[ \t]*[-?:][ \t])+/gm)) {
    const [run] = match;
    const closes = run.startsWith(']') || run.startsWith('}');
    const opens = run.startsWith('[') || run.startsWith('{');
    open = closes ? Math.max(0, open - run.length) : opens ? open + run.length : open;
    if (open > MAX_OPEN || (!closes && !opens && run.length > 2 * MAX_OPEN)) {
      throw limitError('the file is nested too deeply', { source, offset: match.index });
    }
  }
};

/** Turns one parsed document into nodes. */
class TreeBuilder {
  readonly #source: SourceFile;
  readonly #budget: Budget;
  readonly #resets: Path[] = [];
  readonly #anchors = new Map<string, YamlNode>();
  /** Aliases bind to the latest anchor before them; found by one walk in document order. */
  readonly #targets = new Map<Alias, YamlNode>();
  readonly #open = new Set<YamlNode>();
  /** What anchors came to when they were first used, what that cost and how deep it goes. */
  readonly #built = new Map<YamlNode, { node: Node; cost: { nodes: number; length: number }; height: number }>();
  readonly #heights = new WeakMap<object, number>();

  constructor(source: SourceFile, budget: Budget) {
    this.#source = source;
    this.#budget = budget;
  }

  build(document: Document): ParsedDocument {
    const { contents } = document;
    if (contents === null) {
      return { root: { kind: 'scalar', value: null, mark: { source: this.#source, offset: 0 } }, resets: [] };
    }
    this.#bindAliases(contents);
    const root = this.#node(contents, [], 0);
    return { root: root ?? { kind: 'map', entries: new Map(), mark: this.#mark(contents) }, resets: this.#resets };
  }

  #bindAliases(node: unknown): void {
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source);
      if (target === undefined) {
        throw errorAt('COMPOSE_SYNTAX', `unknown anchor '${node.source}'`, {
          mark: this.#mark(node),
          hint: `define it before its use with &${node.source}`,
        });
      }
      this.#targets.set(node, target);
      return;
    }
    if ((isScalar(node) || isMap(node) || isSeq(node)) && node.anchor !== undefined) {
      this.#anchors.set(node.anchor, node);
    }
    if (isMap(node) || isSeq(node)) {
      for (const item of node.items) {
        if (isPair(item)) {
          this.#bindAliases(item.key);
          this.#bindAliases(item.value);
        } else {
          this.#bindAliases(item);
        }
      }
    }
  }

  /** Undefined for what is under `!reset`. */
  #node(yaml: YamlNode, path: Path, depth: number, keyMark?: Mark): Node | undefined {
    const mark = this.#mark(yaml);
    if (depth > LIMITS.depth) {
      throw limitError(`values are nested more than ${LIMITS.depth} deep`, mark);
    }
    if (isAlias(yaml)) {
      return this.#alias(yaml, path, depth, keyMark);
    }
    if (yaml.tag === '!reset' || yaml.tag === '!override') {
      this.#resets.push(path);
    }
    if (yaml.tag === '!reset') {
      return undefined;
    }
    const key = keyMark === undefined ? {} : { keyMark };
    if (isScalar(yaml)) {
      const node = this.#scalar(yaml, mark);
      this.#budget.countNode(mark, typeof node.value === 'string' ? node.value.length : 1);
      return { ...node, ...key };
    }
    this.#budget.countNode(mark, 1);
    if (isMap(yaml)) {
      return { ...this.#map(yaml, path, depth), ...key };
    }
    if (isSeq(yaml)) {
      const items = yaml.items.map((item, i) => this.#child(item, [...path, `[${i}]`], depth));
      return { kind: 'list', items: items.filter((item) => item !== undefined), mark, ...key };
    }
    throw errorAt('COMPOSE_SYNTAX', 'this is not a YAML value', { mark });
  }

  #child(yaml: unknown, path: Path, depth: number, keyMark?: Mark): Node | undefined {
    if (yaml === null || yaml === undefined) {
      const mark = keyMark ?? { source: this.#source, offset: 0 };
      return { kind: 'scalar', value: null, mark, ...(keyMark === undefined ? {} : { keyMark }) };
    }
    return this.#node(yaml as YamlNode, path, depth + 1, keyMark);
  }

  #alias(alias: Alias, path: Path, depth: number, keyMark?: Mark): Node | undefined {
    const target = this.#targets.get(alias);
    if (target === undefined || this.#open.has(target)) {
      throw errorAt('COMPOSE_SYNTAX', `the anchor '${alias.source}' contains itself`, { mark: this.#mark(alias) });
    }
    const built = this.#built.get(target);
    if (built === undefined) {
      return this.#buildTarget(target, path, depth, keyMark);
    }
    if (depth + built.height > LIMITS.depth) {
      throw limitError(`values are nested more than ${LIMITS.depth} deep`, this.#mark(alias));
    }
    this.#budget.countAgain(built.cost, this.#mark(alias));
    const { keyMark: _, ...node } = built.node;
    return keyMark === undefined ? (node as Node) : ({ ...node, keyMark } as Node);
  }

  /** Nodes never change, so all aliases of an anchor share one; not if `!reset` made it depend on its place. */
  #buildTarget(target: YamlNode, path: Path, depth: number, keyMark?: Mark): Node | undefined {
    const before = this.#budget.used;
    const resets = this.#resets.length;
    const node = this.#node(target, path, depth, keyMark);
    if (node !== undefined && this.#resets.length === resets) {
      const { used } = this.#budget;
      const cost = { nodes: used.nodes - before.nodes, length: used.length - before.length };
      this.#built.set(target, { node, cost, height: this.#heightOf(node) });
    }
    return node;
  }

  #heightOf(node: Node): number {
    if (node.kind === 'scalar') {
      return 0;
    }
    const content = node.kind === 'map' ? node.entries : node.items;
    let height = this.#heights.get(content);
    if (height === undefined) {
      height = 1;
      for (const child of content.values()) {
        height = Math.max(height, 1 + this.#heightOf(child));
      }
      this.#heights.set(content, height);
    }
    return height;
  }

  #scalar(yaml: Scalar, mark: Mark): Node & { kind: 'scalar' } {
    const text = String(yaml.value ?? '');
    const tag = yaml.tag?.replace('tag:yaml.org,2002:', '!!');
    if (tag === '!!binary') {
      return { kind: 'scalar', value: Buffer.from(text, 'base64').toString('utf8'), mark };
    }
    const typed = tag === '!!int' || tag === '!!float' || tag === '!!bool' || tag === '!!null';
    if ((yaml.type === Scalar.PLAIN && (tag === undefined || !tag.startsWith('!'))) || typed) {
      return { kind: 'scalar', ...resolvePlain(text), mark };
    }
    return { kind: 'scalar', value: text, mark };
  }

  #map(yaml: YAMLMap, path: Path, depth: number): MapNode {
    this.#open.add(yaml);
    const entries = new Map<string, Node>();
    const seen = new Map<string, Mark>();
    const merges: Array<{ value: unknown; mark: Mark }> = [];
    for (const pair of yaml.items) {
      const { key, mark } = this.#key(pair.key, path);
      const first = seen.get(key);
      if (first !== undefined) {
        throw errorAt('COMPOSE_SYNTAX', `the key "${key}" is already defined in line ${first.source.placeAt(first.offset).line}`, {
          mark,
          hint: 'remove one of them',
        });
      }
      seen.set(key, mark);
      if (key === '<<' && isScalar(pair.key) && pair.key.type === Scalar.PLAIN) {
        merges.push({ value: pair.value, mark });
        continue;
      }
      const value = this.#child(pair.value, [...path, key], depth, mark);
      if (value !== undefined) {
        entries.set(key, value);
      }
    }
    for (const merge of merges) {
      this.#mergeKey({ entries, path, depth, ...merge });
    }
    this.#open.delete(yaml);
    return { kind: 'map', entries, mark: this.#mark(yaml) };
  }

  /** `<<`: what is there already wins; of several mappings the earlier one. */
  #mergeKey(options: { entries: Map<string, Node>; value: unknown; mark: Mark; path: Path; depth: number }): void {
    const source = this.#child(options.value, options.path, options.depth, options.mark);
    const parts = source?.kind === 'list' ? source.items : source === undefined ? [] : [source];
    for (const part of parts) {
      if (part.kind !== 'map') {
        throw errorAt('COMPOSE_SYNTAX', '"<<" needs a mapping or a list of mappings', { mark: options.mark });
      }
      for (const [key, value] of part.entries) {
        if (!options.entries.has(key)) {
          options.entries.set(key, value);
        }
      }
    }
  }

  #key(yaml: unknown, path: Path): { key: string; mark: Mark } {
    const node = isAlias(yaml) ? this.#targets.get(yaml) : yaml;
    const mark = isScalar(yaml) || isAlias(yaml) ? this.#mark(yaml) : { source: this.#source, offset: 0 };
    if (!isScalar(node)) {
      throw errorAt('COMPOSE_SYNTAX', 'a key must be a string', { mark });
    }
    const { value } = this.#scalar(node, mark);
    if (typeof value !== 'string') {
      const where = path.length === 0 ? 'at the top level' : `in ${formatPath(path)}`;
      throw errorAt('COMPOSE_INVALID', `the key ${value} ${where} is not a string`, {
        mark,
        hint: /ports$/.test(path.at(-2) ?? '') ? `a port is one text: "${value}:80", without a blank` : `write it in quotes: "${value}"`,
      });
    }
    return { key: value, mark };
  }

  #mark(yaml: YamlNode): Mark {
    return { source: this.#source, offset: yaml.range?.[0] ?? 0 };
  }
}

const cleanMessage = (message: string): string => {
  const first = message.split('\n')[0] ?? message;
  return first.charAt(0).toLowerCase() + first.slice(1);
};

const hintFor = (code: string): string | undefined => HINTS[code];

const HINTS: Record<string, string> = {
  TAB_AS_INDENT: 'YAML is indented with spaces, not with tabs',
  BAD_INDENT: 'lines that belong together start at the same column',
  MISSING_CHAR: 'close what was opened: a quote, a bracket, or a mapping on one line',
  BLOCK_AS_IMPLICIT_KEY: 'start the inner mapping on a line of its own, or put the value in quotes',
  MULTILINE_IMPLICIT_KEY: 'a key is one line; is the colon after it missing?',
  BAD_SCALAR_START: 'put the value in quotes',
};

/** The first character that counts in the line of the problem; for an open quote, the quote. */
const offsetOf = (problem: YAMLParseError, text: string): number => {
  const [at] = problem.pos;
  if (problem.code === 'MISSING_CHAR') {
    const before = text.slice(0, at);
    const open = problem.message.includes('"') ? before.lastIndexOf('"') : problem.message.includes("'") ? before.lastIndexOf("'") : -1;
    return open === -1 ? at : open;
  }
  return problem.code === 'BAD_INDENT' ? at + (/^[ \t]*/.exec(text.slice(at, at + 200))?.[0].length ?? 0) : at;
};

/** The parser recurses; beyond this it would run out of stack rather than answer. */
const MAX_OPEN = 1000;
