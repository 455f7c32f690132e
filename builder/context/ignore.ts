import { posix } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { compileGlob, type Glob, PatternFault } from './glob.ts';

interface Rule {
  readonly glob: Glob;
  readonly negated: boolean;
  /** The pattern's literal start, to decide whether a negation can lie below a folder. */
  readonly literal: string;
  /** Matches whatever is in the root folder. */
  readonly isEverything: boolean;
}

const EVERYTHING: ReadonlySet<string> = new Set(['*', '**', '**/*']);

const MAX_FILE = 1024 * 1024;

/** Patterns of a .dockerignore (or of --exclude), with moby/patternmatcher's semantics: rooted, the last match wins. */
export class IgnoreRules {
  readonly #rules: readonly Rule[];
  readonly #hasNegation: boolean;
  /** Whether a folder (or a parent) is excluded; cached, because every file in it asks. */
  readonly #folders = new Map<string, boolean>();

  constructor(rules: readonly Rule[]) {
    this.#rules = rules;
    this.#hasNegation = rules.some(({ negated }) => negated);
  }

  get isEmpty(): boolean {
    return this.#rules.length === 0;
  }

  /** Whether a path (without a leading slash) is excluded: a match on a parent folder counts, and later rules override earlier ones. */
  excludes(path: string): boolean {
    return this.#rules.length > 0 && this.#matchAll(path).excluded;
  }

  /** Whether nothing of a file or a folder is left, as far as patterns alone can tell; the empty path is the root folder. */
  excludesAll(path: string): boolean {
    if (path === '') {
      return !this.#hasNegation && this.#rules.some(({ isEverything }) => isEverything);
    }
    return this.excludes(path) && !this.mayIncludeBelow(path);
  }

  /** Whether a negated pattern may include something below an excluded folder again. */
  mayIncludeBelow(folder: string): boolean {
    return this.#hasNegation && this.#rules.some(({ negated, literal }) => negated && mayMeet(folder, literal));
  }

  /** Like patternmatcher's MatchesUsingParentResults: each rule also matches if it matched a parent. */
  #matchAll(path: string): { excluded: boolean } {
    const parents = parentsOf(path);
    if (!this.#hasNegation) {
      return { excluded: this.#plain(path) };
    }
    let excluded = false;
    for (const { glob, negated } of this.#rules) {
      if (excluded === negated && (glob.matches(path) || parents.some((parent) => glob.matches(parent)))) {
        excluded = !negated;
      }
    }
    return { excluded };
  }

  #plain(path: string): boolean {
    const parent = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
    if (parent !== '' && this.#folderExcluded(parent)) {
      return true;
    }
    return this.#rules.some(({ glob }) => glob.matches(path));
  }

  #folderExcluded(folder: string): boolean {
    const known = this.#folders.get(folder);
    if (known !== undefined) {
      return known;
    }
    const excluded = this.#plain(folder);
    this.#folders.set(folder, excluded);
    return excluded;
  }
}

/**
 * Reads the text of a .dockerignore: `#` comments only in the first column, blanks trimmed, paths
 * cleaned, a leading slash dropped. Throws DOCKERFILE_SYNTAX for a bare `!` or a malformed pattern.
 */
export const parseIgnoreFile = (text: string, file: string): IgnoreRules => {
  if (text.length > MAX_FILE) {
    throw new HyprError('DOCKERFILE_SYNTAX', `${file} is larger than ${MAX_FILE} bytes`, { where: { file } });
  }
  const rules: Rule[] = [];
  for (const [index, raw] of text
    .replace(/^\ufeff/, '')
    .split('\n')
    .entries()) {
    const line = raw.startsWith('#') ? '' : raw.trim();
    if (line !== '') {
      rules.push(parseRule(line, { file, line: index + 1 }));
    }
  }
  return new IgnoreRules(rules);
};

/** The same rules from a list, e.g. of --exclude flags. */
export const parsePatterns = (patterns: readonly string[], where: { file: string; line: number }): IgnoreRules =>
  new IgnoreRules(patterns.filter((pattern) => pattern.trim() !== '').map((pattern) => parseRule(pattern.trim(), where)));

const parseRule = (line: string, where: { file: string; line: number }): Rule => {
  const negated = line.startsWith('!');
  const written = negated ? line.slice(1).trim() : line;
  if (written === '') {
    throw new HyprError('DOCKERFILE_SYNTAX', `illegal exclusion pattern: "${line}"`, { where });
  }
  const cleaned = posix.normalize(written).replace(/\/$/, '').replace(/^\/+/, '');
  const pattern = cleaned === '' ? '.' : cleaned;
  try {
    const literal = /^[^*?[\\]*/.exec(pattern)?.[0] ?? '';
    return { glob: compileGlob(pattern, { globstar: true }), negated, literal, isEverything: EVERYTHING.has(pattern) };
  } catch (error) {
    if (error instanceof PatternFault) {
      throw new HyprError('DOCKERFILE_SYNTAX', `malformed pattern "${line}"`, { where });
    }
    throw error;
  }
};

const parentsOf = (path: string): string[] => {
  const parents: string[] = [];
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
    parents.push(path.slice(0, at));
  }
  return parents;
};

/** A pattern with this literal start can match below the folder when one is a prefix of the other. */
const mayMeet = (folder: string, literal: string): boolean => `${folder}/`.startsWith(literal) || literal.startsWith(`${folder}/`);
