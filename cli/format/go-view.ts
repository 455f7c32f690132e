/** What Go knows of a value beside its JSON: docker's templates are read with Go's types, whose zero values JSON leaves out. */
export type GoType =
  | 'string'
  | 'number'
  | 'bool'
  | { readonly list: GoType }
  | { readonly map: GoType }
  | { readonly pointer: GoType }
  | {
      readonly struct: Readonly<Record<string, GoType>> /** Go's names of fields where JSON's differ. */;
      readonly aliases?: Readonly<Record<string, string>>;
    };

const FIELDS = Symbol('the fields of a struct, in the order of Go');

/** The fields of a struct in the order in which Go prints them; undefined for every other value. */
export const structFields = (value: object): readonly string[] | undefined => (value as { [FIELDS]?: readonly string[] })[FIELDS];

/**
 * `data` as a template of docker sees it: what JSON leaves out is Go's zero value (nil, an empty text or list, 0, false), and structs print as
 * structs. Its JSON is that of `data`. Pure.
 */
export const goView = (type: GoType, data: unknown): unknown => {
  if (typeof type === 'string') {
    return data === undefined ? ZEROS[type] : data;
  }
  if ('pointer' in type) {
    return data === undefined || data === null ? null : goView(type.pointer, data);
  }
  if ('list' in type) {
    return Array.isArray(data) ? data.map((each) => goView(type.list, each)) : nil([]);
  }
  const record = typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : undefined;
  if ('map' in type) {
    return record === undefined
      ? nil({})
      : Object.fromEntries(Object.entries(record).map(([key, value]) => [key, goView(type.map, value)]));
  }
  return structView(type, record ?? {});
};

const ZEROS = { string: '', number: 0, bool: false } as const;

/** A list or map that is nil is empty for a template, and null as JSON. */
const nil = <T extends object>(empty: T): T => Object.defineProperty(empty, 'toJSON', { value: () => null });

const structView = ({ struct, aliases = {} }: Extract<GoType, { struct: object }>, data: Record<string, unknown>): object => {
  const view: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(data)) {
    const type = struct[key];
    view[key] = type === undefined ? value : goView(type, value);
  }
  const hide = (key: string, value: unknown) => Object.defineProperty(view, key, { value, enumerable: false });
  for (const [key, type] of Object.entries(struct)) {
    if (!Object.hasOwn(view, key)) {
      hide(key, goView(type, undefined));
    }
  }
  for (const [alias, key] of Object.entries(aliases)) {
    hide(alias, view[key]);
  }
  return Object.defineProperty(view, FIELDS, { value: Object.keys(struct) });
};
