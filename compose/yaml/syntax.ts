/**
 * The syntax tree of a YAML document, which both the quick and the full reader return. `at` is an offset in
 * the text.
 */
export type Syntax = SyntaxScalar | SyntaxMap | SyntaxList | SyntaxAlias;

export interface SyntaxScalar extends SyntaxBase {
  readonly kind: 'scalar';
  readonly text: string;
  /** Written without quotes, on one or more lines; block scalars are not plain. */
  readonly isPlain: boolean;
}

export interface SyntaxMap extends SyntaxBase {
  readonly kind: 'map';
  readonly pairs: readonly SyntaxPair[];
}

export interface SyntaxPair {
  /** Undefined for something that cannot be a key. */
  readonly key: Syntax | undefined;
  readonly value: Syntax | undefined;
}

export interface SyntaxList extends SyntaxBase {
  readonly kind: 'list';
  readonly items: readonly (Syntax | undefined)[];
}

export interface SyntaxAlias {
  readonly kind: 'alias';
  readonly name: string;
  readonly at: number;
}

interface SyntaxBase {
  readonly at: number;
  readonly tag: string | undefined;
  readonly anchor: string | undefined;
}

/** The tag and anchor before a value: `!reset`, `&name`. */
export interface Properties {
  readonly tag: string | undefined;
  readonly anchor: string | undefined;
}
