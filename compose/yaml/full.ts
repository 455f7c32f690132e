import { type Document, isAlias, isMap, isPair, isScalar, isSeq, parseAllDocuments, Scalar, type YAMLParseError } from 'yaml';
import type { HyprError } from '../../base/errors.ts';
import { limitError } from '../model/limits.ts';
import { errorAt, type SourceFile } from '../source/source.ts';
import type { Syntax, SyntaxPair } from './syntax.ts';

/**
 * Reads every document of a source with the `yaml` library, which knows all of YAML 1.2; undefined for an empty one.
 * A generator: an error in a document is thrown when the caller gets to it.
 * @throws COMPOSE_SYNTAX, COMPOSE_LIMIT
 */
export function* readFully(source: SourceFile): Generator<Syntax | undefined> {
  for (const document of readDocuments(source)) {
    const problem = document.errors[0];
    // The parser is recursive, and reports a stack overflow with this code.
    if (problem?.code === 'RESOURCE_EXHAUSTION') {
      throw limitError('the file is nested too deeply', { source, offset: problem.pos[0] });
    }
    if (problem !== undefined) {
      throw (
        unclosedBracket(problem, source) ??
        errorAt('COMPOSE_SYNTAX', cleanMessage(problem.message), {
          mark: { source, offset: offsetOf(problem, source.text) },
          hint: hintFor(problem.code),
        })
      );
    }
    yield toSyntax(document.contents);
  }
}

const toSyntax = (node: unknown): Syntax | undefined => {
  if (isAlias(node)) {
    return { kind: 'alias', name: node.source, at: node.range?.[0] ?? 0 };
  }
  if (!isScalar(node) && !isMap(node) && !isSeq(node)) {
    return undefined;
  }
  const base = { at: node.range?.[0] ?? 0, tag: node.tag, anchor: node.anchor };
  if (isScalar(node)) {
    return {
      kind: 'scalar',
      text: typeof node.value === 'string' ? node.value : (node.source ?? ''),
      isPlain: node.type === Scalar.PLAIN,
      ...base,
    };
  }
  if (isMap(node)) {
    return { kind: 'map', pairs: node.items.map(toPair), ...base };
  }
  return {
    kind: 'list',
    items: node.items.map((item) => (isPair(item) ? { kind: 'map', pairs: [toPair(item)], ...base } : toSyntax(item))),
    ...base,
  };
};

const toPair = (pair: { key: unknown; value: unknown }): SyntaxPair => ({ key: toSyntax(pair.key), value: toSyntax(pair.value) });

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
 * A cheap check before the real parser, whose stack grows with depth: counts open brackets and
 * compact `- - -` at the start of a line. Brackets in strings count too, so the limit is very high.
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

const cleanMessage = (message: string): string => {
  const first = message.split('\n')[0] ?? message;
  return first.charAt(0).toLowerCase() + first.slice(1);
};

/**
 * The missing closing bracket or quote. The `yaml` library has one code for all of them and names the character only in its
 * message; nothing else here depends on the text of a message.
 */
const readMissingCharacter = ({ code, message }: YAMLParseError): ']' | '}' | '"' | "'" | undefined => {
  const bracket = /^Flow (?:map|sequence) .*end with a ([\]}])/.exec(message)?.[1];
  if (bracket === ']' || bracket === '}') {
    return bracket;
  }
  return code !== 'MISSING_CHAR' ? undefined : message.includes('"') ? '"' : message.includes("'") ? "'" : undefined;
};

/** The parser only reports where it stopped, which is often the end of the file. */
const unclosedBracket = (problem: YAMLParseError, source: SourceFile): HyprError | undefined => {
  const close = readMissingCharacter(problem);
  const at = close !== ']' && close !== '}' ? -1 : lastOpen(source.text.slice(0, problem.pos[0]), close);
  if (at === -1) {
    return undefined;
  }
  return errorAt('COMPOSE_SYNTAX', `"${source.text[at]}" is not closed by "${close}"`, {
    mark: { source, offset: at },
    hint: `add the "${close}"; lines between the two are indented more than the line of the first`,
  });
};

/** The offset of the innermost open bracket that `close` belongs to. Brackets in quotes count too: it is only for a message. */
const lastOpen = (text: string, close: string): number => {
  const open = close === ']' ? '[' : '{';
  let depth = 0;
  for (let at = text.length - 1; at >= 0; at--) {
    depth += text[at] === close ? 1 : text[at] === open ? -1 : 0;
    if (depth < 0) {
      return at;
    }
  }
  return -1;
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

/** The first character in the line of the problem that is not a blank; for an open quote, the quote. */
const offsetOf = (problem: YAMLParseError, text: string): number => {
  const [at] = problem.pos;
  if (problem.code === 'MISSING_CHAR') {
    const quote = readMissingCharacter(problem);
    const open = quote === '"' || quote === "'" ? text.slice(0, at).lastIndexOf(quote) : -1;
    return open === -1 ? at : open;
  }
  return problem.code === 'BAD_INDENT' ? at + (/^[ \t]*/.exec(text.slice(at, at + 200))?.[0].length ?? 0) : at;
};

/** The parser is recursive; beyond this depth it would overflow the stack. */
const MAX_OPEN = 1000;
