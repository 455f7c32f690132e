import { type Budget, LIMITS, limitError } from '../model/limits.ts';
import type { Node, Path, ScalarNode } from '../source/node.ts';
import { formatPath } from '../source/path-table.ts';
import { errorAt, type Mark, type SourceFile } from '../source/source.ts';
import { readQuickly } from './quick.ts';
import { resolvePlain } from './scalars.ts';
import type { Syntax, SyntaxAlias, SyntaxMap, SyntaxScalar } from './syntax.ts';
import { countTokens } from './tokens.ts';

/** One YAML document: its tree, and the paths whose value in earlier files is dropped. */
export interface ParsedDocument {
  readonly root: Node;
  /** Paths under `!reset` (value dropped) and `!override` (value kept); list positions as `[0]`. */
  readonly resets: readonly Path[];
}

/**
 * Parses every document of a source. Aliases and merge keys are expanded within the budget.
 * @throws COMPOSE_SYNTAX with line, column and caret; COMPOSE_LIMIT for bombs
 */
export const parseYaml = async (source: SourceFile, budget: Budget): Promise<ParsedDocument[]> => {
  const tokens = countTokens(source, budget);
  const quick = readQuickly(source.text);
  if (quick !== undefined) {
    return [new TreeBuilder(source, budget).build(quick)];
  }
  budget.countUnusual(tokens, { source, offset: 0 });
  // Only files with unusual syntax need the library.
  const { readFully } = await import('./full.ts');
  const parsed: ParsedDocument[] = [];
  for (const contents of readFully(source)) {
    parsed.push(new TreeBuilder(source, budget).build(contents));
  }
  return parsed;
};

/** Turns one parsed document into nodes. */
class TreeBuilder {
  readonly #source: SourceFile;
  readonly #budget: Budget;
  readonly #resets: Path[] = [];
  readonly #anchors = new Map<string, Anchored>();
  /** Aliases bind to the latest anchor before them; found by one walk in document order. */
  readonly #targets = new Map<SyntaxAlias, Anchored>();
  readonly #open = new Set<Syntax>();
  /** The nodes of anchors that were used already, with their size and depth. */
  readonly #built = new Map<Syntax, { node: Node; cost: { nodes: number; length: number }; height: number }>();
  readonly #heights = new WeakMap<object, number>();
  /** The path to the node being built. */
  readonly #path: string[] = [];

  constructor(source: SourceFile, budget: Budget) {
    this.#source = source;
    this.#budget = budget;
  }

  build(contents: Syntax | undefined): ParsedDocument {
    if (contents === undefined) {
      return { root: { kind: 'scalar', value: null, mark: { source: this.#source, offset: 0 } }, resets: [] };
    }
    this.#bindAliases(contents);
    const root = this.#node(contents, 0);
    return { root: root ?? { kind: 'map', entries: new Map(), mark: this.#mark(contents) }, resets: this.#resets };
  }

  #bindAliases(node: Syntax | undefined): void {
    if (node === undefined) {
      return;
    }
    if (node.kind === 'alias') {
      const target = this.#anchors.get(node.name);
      if (target === undefined) {
        throw errorAt('COMPOSE_SYNTAX', `unknown anchor '${node.name}'`, {
          mark: this.#mark(node),
          hint: `define it before its use with &${node.name}`,
        });
      }
      this.#targets.set(node, target);
      return;
    }
    if (node.anchor !== undefined) {
      this.#anchors.set(node.anchor, node);
    }
    if (node.kind === 'map') {
      for (const { key, value } of node.pairs) {
        this.#bindAliases(key);
        this.#bindAliases(value);
      }
    } else if (node.kind === 'list') {
      for (const item of node.items) {
        this.#bindAliases(item);
      }
    }
  }

  /** Undefined for a value under `!reset`. */
  #node(syntax: Syntax, depth: number, keyMark?: Mark): Node | undefined {
    if (depth > LIMITS.depth) {
      throw limitError(`values are nested more than ${LIMITS.depth} deep`, this.#mark(syntax));
    }
    if (syntax.kind === 'alias') {
      return this.#alias(syntax, depth, keyMark);
    }
    if (syntax.tag === '!reset' || syntax.tag === '!override') {
      this.#resets.push([...this.#path]);
    }
    if (syntax.tag === '!reset') {
      return undefined;
    }
    const mark = this.#mark(syntax);
    if (syntax.kind === 'scalar') {
      const node = this.#scalar(syntax, mark, keyMark);
      this.#budget.countNode(mark, typeof node.value === 'string' ? node.value.length : 1);
      return node;
    }
    this.#budget.countNode(mark, 1);
    this.#budget.countEntries(syntax.kind === 'map' ? syntax.pairs.length : syntax.items.length, mark);
    if (syntax.kind === 'map') {
      const entries = this.#entries(syntax, depth);
      return keyMark === undefined ? { kind: 'map', entries, mark } : { kind: 'map', entries, mark, keyMark };
    }
    const items = this.#items(syntax.items, depth);
    return keyMark === undefined ? { kind: 'list', items, mark } : { kind: 'list', items, mark, keyMark };
  }

  #items(list: readonly (Syntax | undefined)[], depth: number): Node[] {
    const items: Node[] = [];
    for (const [index, each] of list.entries()) {
      const item = this.#child(`[${index}]`, each, depth);
      if (item !== undefined) {
        items.push(item);
      }
    }
    return items;
  }

  #child(step: string | undefined, syntax: Syntax | undefined, depth: number, keyMark?: Mark): Node | undefined {
    if (syntax === undefined) {
      const mark = keyMark ?? { source: this.#source, offset: 0 };
      return { kind: 'scalar', value: null, mark, ...(keyMark === undefined ? {} : { keyMark }) };
    }
    if (step === undefined) {
      return this.#node(syntax, depth + 1, keyMark);
    }
    this.#path.push(step);
    const node = this.#node(syntax, depth + 1, keyMark);
    this.#path.pop();
    return node;
  }

  #alias(alias: SyntaxAlias, depth: number, keyMark?: Mark): Node | undefined {
    const target = this.#targets.get(alias);
    if (target === undefined || this.#open.has(target)) {
      throw errorAt('COMPOSE_SYNTAX', `the anchor '${alias.name}' contains itself`, { mark: this.#mark(alias) });
    }
    const built = this.#built.get(target);
    if (built === undefined) {
      return this.#buildTarget(target, depth, keyMark);
    }
    if (depth + built.height > LIMITS.depth) {
      throw limitError(`values are nested more than ${LIMITS.depth} deep`, this.#mark(alias));
    }
    this.#budget.countAgain(built.cost, this.#mark(alias));
    const { keyMark: _, ...node } = built.node;
    return keyMark === undefined ? (node as Node) : ({ ...node, keyMark } as Node);
  }

  /** Nodes never change, so all aliases of an anchor share one; not if `!reset` made it depend on its place. */
  #buildTarget(target: Syntax, depth: number, keyMark?: Mark): Node | undefined {
    const before = this.#budget.used;
    const resets = this.#resets.length;
    const node = this.#node(target, depth, keyMark);
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

  #scalar(syntax: SyntaxScalar, mark: Mark, keyMark: Mark | undefined): ScalarNode {
    const key = keyMark === undefined ? {} : { keyMark };
    const tag = syntax.tag?.replace('tag:yaml.org,2002:', '!!');
    if (tag === '!!binary') {
      return { kind: 'scalar', value: decodeBinary(syntax.text, mark), mark, ...key };
    }
    const typed = tag === undefined ? undefined : TYPED[tag];
    if ((syntax.isPlain && (tag === undefined || !tag.startsWith('!'))) || typed !== undefined) {
      const resolved = resolvePlain(syntax.text);
      if (typed?.(resolved) === false) {
        throw errorAt('COMPOSE_SYNTAX', `"${syntax.text}" is no ${tag}`, { mark, hint: 'correct the value, or leave the tag away' });
      }
      if (typeof resolved.value !== 'string' || resolved.date === true) {
        return { kind: 'scalar', ...resolved, mark, ...key };
      }
    }
    const value = syntax.text;
    return keyMark === undefined ? { kind: 'scalar', value, mark } : { kind: 'scalar', value, mark, keyMark };
  }

  #entries(map: SyntaxMap, depth: number): Map<string, Node> {
    this.#open.add(map);
    const entries = new Map<string, Node>();
    const seen = new Map<string, Mark>();
    const merges: Array<{ value: Syntax | undefined; mark: Mark }> = [];
    for (const pair of map.pairs) {
      const { key, mark } = this.#key(pair.key);
      const first = seen.get(key);
      if (first !== undefined) {
        throw errorAt('COMPOSE_SYNTAX', `the key "${key}" is already defined in line ${first.source.placeAt(first.offset).line}`, {
          mark,
          hint: 'remove one of them',
        });
      }
      seen.set(key, mark);
      if (key === '<<' && pair.key?.kind === 'scalar' && pair.key.isPlain) {
        merges.push({ value: pair.value, mark });
        continue;
      }
      const value = this.#child(key, pair.value, depth, mark);
      if (value !== undefined) {
        entries.set(key, value);
      }
    }
    for (const { value, mark } of merges) {
      this.#mergeKey(this.#child(undefined, value, depth, mark), mark, entries);
    }
    this.#open.delete(map);
    return entries;
  }

  /** `<<`: existing keys win; of several mappings the earlier one. */
  #mergeKey(source: Node | undefined, mark: Mark, entries: Map<string, Node>): void {
    const parts = source?.kind === 'list' ? source.items : source === undefined ? [] : [source];
    for (const part of parts) {
      if (part.kind !== 'map') {
        throw errorAt('COMPOSE_SYNTAX', '"<<" needs a mapping or a list of mappings', { mark });
      }
      for (const [key, value] of part.entries) {
        if (!entries.has(key)) {
          entries.set(key, value);
        }
      }
    }
  }

  #key(syntax: Syntax | undefined): { key: string; mark: Mark } {
    const node = syntax?.kind === 'alias' ? this.#targets.get(syntax) : syntax;
    const mark = syntax?.kind === 'scalar' || syntax?.kind === 'alias' ? this.#mark(syntax) : { source: this.#source, offset: 0 };
    if (node?.kind !== 'scalar') {
      throw errorAt('COMPOSE_SYNTAX', 'a key must be a string', { mark });
    }
    const { value } = this.#scalar(node, mark, undefined);
    if (typeof value !== 'string') {
      const path = this.#path;
      const where = path.length === 0 ? 'at the top level' : `in ${formatPath(path)}`;
      throw errorAt('COMPOSE_INVALID', `the key ${value} ${where} is not a string`, {
        mark,
        hint: /ports$/.test(path.at(-2) ?? '') ? `a port is one string without blanks: "${value}:80"` : `write it in quotes: "${value}"`,
      });
    }
    return { key: value, mark };
  }

  #mark(syntax: Syntax): Mark {
    return { source: this.#source, offset: syntax.at };
  }
}

type Anchored = Exclude<Syntax, SyntaxAlias>;

type Resolved = ReturnType<typeof resolvePlain>;

/** Tags of YAML, and which values they are for. */
const TYPED: Readonly<Record<string, (resolved: Resolved) => boolean>> = {
  '!!int': ({ value, float }) => (typeof value === 'number' || typeof value === 'bigint') && float !== true,
  '!!float': ({ value }) => typeof value === 'number' || typeof value === 'bigint',
  '!!bool': ({ value }) => typeof value === 'boolean',
  '!!null': ({ value }) => value === null,
  '!!timestamp': ({ date }) => date === true,
};

const decodeBinary = (text: string, mark: Mark): string => {
  const digits = text.replace(/[\r\n]/g, '');
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(digits)) {
    throw errorAt('COMPOSE_SYNTAX', 'the value of !!binary is not base64', { mark });
  }
  return Buffer.from(digits, 'base64').toString('utf8');
};
