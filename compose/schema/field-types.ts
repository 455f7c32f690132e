/** The types of the attributes of the canonical model (fields.ts), and the short words for them. */
export type Type =
  | { readonly kind: Scalar; readonly keepZero?: boolean }
  | { readonly kind: 'list' | 'map'; readonly of: Type; readonly sorted?: boolean }
  | Struct;

export interface Struct {
  readonly kind: 'struct';
  readonly fields: Readonly<Record<string, Type>>;
  /** Names of attributes as JSON has them where they differ. */
  readonly jsonNames?: Readonly<Record<string, string>>;
  /** What JSON says of attributes that are absent: `command: null`, `ipam: {}`. */
  readonly jsonAbsent?: Readonly<Record<string, null | object>>;
  /** Embedded by value: absent rather than `{}` when nothing is in it. */
  readonly omitEmpty?: boolean;
}

export type Scalar =
  | 'text'
  | 'bool'
  /** A boolean that is true unless said otherwise; only false is kept. */
  | 'optOut'
  | 'int'
  | 'float'
  | 'bytes'
  | 'duration'
  | 'strings'
  | 'command'
  | 'healthTest'
  | 'mapping'
  | 'environment'
  | 'hosts'
  | 'fileMode'
  | 'deviceCount'
  | 'ulimit'
  | 'options'
  | 'textOptions'
  | 'multiOptions'
  | 'ssh'
  | 'any';

export const of = (kind: Scalar): Type => ({ kind });
export const kept = (kind: Scalar): Type => ({ kind, keepZero: true });
export const listOf = (type: Type): Type => ({ kind: 'list', of: type });
export const mapOf = (type: Type): Type => ({ kind: 'map', of: type });
export const struct = (fields: Record<string, Type>, rest: Partial<Struct> = {}): Struct => ({ kind: 'struct', fields, ...rest });

/** Attributes of one type, by name, in order. */
export const all = (kind: Scalar, names: string): Record<string, Type> =>
  Object.fromEntries(names.split(' ').map((name) => [name, of(kind)]));
