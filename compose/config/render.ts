import type { FileObject, Project, Service } from '../model/model.ts';
import { setKey } from '../project/bind.ts';
import type { Struct, Type } from '../schema/field-types.ts';
import { FILE_OBJECT, MODEL, NETWORK, SERVICE, VOLUME } from '../schema/fields.ts';
import { Written } from '../source/node.ts';
import { PathTable } from '../source/path-table.ts';
import { compareNatural, emitYaml } from '../yaml/emit.ts';

export interface RenderOptions {
  /** Write `$` as it is instead of `$$`. */
  readonly rawDollars?: boolean;
}

/** The project as `config` prints it, byte for byte (newline at the end). */
export const formatProjectYaml = (project: Project, options: RenderOptions = {}): string => {
  const out: Record<string, unknown> = { name: project.name, services: orderMap(project.services, SERVICE, YAML) };
  for (const [key, record, type] of sections(project)) {
    if (Object.keys(record).length > 0) {
      out[key] = orderMap(record, type, YAML);
    }
  }
  const models = project.models ?? {};
  if (Object.keys(models).length > 0) {
    out.models = orderMap(models, MODEL, YAML);
  }
  for (const key of Object.keys(project.extensions).sort(compareNatural)) {
    out[key] = sortKeys(project.extensions[key], YAML);
  }
  return escapeDollars(emitYaml(out), options);
};

/** The project as `config --format json` prints it: keys of the top level sorted, no newline at the end. */
export const formatProjectJson = (project: Project, options: RenderOptions = {}): string => {
  const out: Record<string, unknown> = { name: project.name, services: orderMap(project.services, SERVICE, JSON_STYLE) };
  for (const [key, record, type] of sections(project)) {
    if (Object.keys(record).length > 0) {
      out[key] = orderMap(record, type, JSON_STYLE);
    }
  }
  for (const [key, value] of Object.entries(project.extensions)) {
    out[key] = sortKeys(value, JSON_STYLE);
  }
  const sorted = Object.fromEntries(Object.entries(out).sort(([a], [b]) => compareBytes(a, b)));
  return escapeDollars(goJson(sorted, 2), options);
};

/** Services with only their image: the override file of `config --lock-image-digests`. */
export const formatLock = (services: Record<string, Service>, format: 'yaml' | 'json'): string =>
  format === 'yaml'
    ? emitYaml({ services: orderMap(services, SERVICE, YAML) })
    : goJson({ name: '', services: orderMap(services, SERVICE, JSON_STYLE) }, 2);

/** Any plain value with every mapping in sorted order, as `config --no-interpolate` prints the model. */
export const formatPlainYaml = (value: unknown): string => emitYaml(sortKeys(value, YAML));
export const formatPlainJson = (value: unknown): string => goJson(sortKeys(nullEmptied(value, EMPTIED), JSON_STYLE), 2);

/** A service as compact JSON in attribute order: the input of the config hash. */
export const compactServiceJson = (service: object): string => goJson(orderValue(service, SERVICE, JSON_STYLE), 0);

/** JSON as Go writes it: `<`, `>`, `&` and the two line separators escaped, a negative zero with its sign. */
export const goJson = (value: unknown, indent: number): string =>
  JSON.stringify(value, (_, item) => goNumber(item), indent).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

const goNumber = (item: unknown): unknown => {
  if (typeof item === 'bigint') {
    return Number(item);
  }
  return Object.is(item, -0) ? rawJSON('-0') : item;
};

/** Node has it, TypeScript's library does not know it yet. */
const { rawJSON } = JSON as typeof JSON & { rawJSON(text: string): object };

/** Lists that compose looks variables up in, which leaves nothing of an empty one. Its YAML writes `[]` all the same. */
const EMPTIED = new PathTable<true>({ 'services.*.environment': true, 'services.*.build.args': true });

const nullEmptied = (value: unknown, emptied: PathTable<true> | undefined): unknown => {
  if (Array.isArray(value)) {
    return value.length === 0 && emptied?.value === true ? null : value;
  }
  if (emptied === undefined || value === null || typeof value !== 'object' || value instanceof Written) {
    return value;
  }
  const out: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    setKey(out, key, nullEmptied(item, emptied.next(key)));
  }
  return out;
};

interface Style {
  readonly json: boolean;
  readonly compare: (a: string, b: string) => number;
}

const compareBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

const YAML: Style = { json: false, compare: (a, b) => compareNatural(a, b) };
const JSON_STYLE: Style = { json: true, compare: compareBytes };

const sections = (project: Project): Array<[string, object, Struct]> => [
  ['networks', project.networks, NETWORK],
  ['volumes', project.volumes, VOLUME],
  // The content of a secret is never printed, nor, as in docker compose, an empty one of a config.
  ['secrets', withoutContent(project.secrets, () => true), FILE_OBJECT],
  ['configs', withoutContent(project.configs, ({ content }) => content === ''), FILE_OBJECT],
];

const withoutContent = (objects: Project['configs'], isLeftOut: (object: FileObject) => boolean): Project['configs'] =>
  Object.fromEntries(
    Object.entries(objects).map(([key, object]) => {
      const { content: _, ...rest } = object;
      return [key, isLeftOut(object) ? rest : object];
    }),
  );

const orderMap = (record: object, type: Type, style: Style): Record<string, unknown> => {
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(record).sort(([a], [b]) => style.compare(a, b))) {
    setKey(out, key, value === null ? null : orderValue(value, type, style));
  }
  return out;
};

const orderValue = (value: unknown, type: Type, style: Style): unknown => {
  if (value === null || typeof value !== 'object') {
    return value;
  }
  switch (type.kind) {
    case 'struct':
      return orderStruct(value as Record<string, unknown>, type, style);
    case 'list':
      return (value as unknown[]).map((item) => orderValue(item, type.of, style));
    case 'map':
      return orderMap(value, type.of, style);
    case 'ulimit':
      // Go leaves zeros out of JSON.
      return style.json ? Object.fromEntries(Object.entries(value).filter(([, limit]) => limit !== 0)) : value;
    case 'any':
      return value;
    default:
      return Array.isArray(value) ? value : sortKeys(value, style);
  }
};

const orderStruct = (value: Record<string, unknown>, type: Struct, style: Style): Record<string, unknown> => {
  const out: Record<string, unknown> = {};
  for (const [name, fieldType] of Object.entries(type.fields)) {
    const absent = style.json ? type.jsonAbsent?.[name] : undefined;
    const field = value[name];
    if (field !== undefined) {
      out[style.json ? (type.jsonNames?.[name] ?? name) : name] = orderValue(field, fieldType, style);
    } else if (absent !== undefined) {
      out[name] = absent;
    }
  }
  if (!style.json) {
    for (const key of Object.keys(value)
      .filter((name) => name.startsWith('x-'))
      .sort(style.compare)) {
      out[key] = sortKeys(value[key], style);
    }
  }
  return out;
};

const sortKeys = (value: unknown, style: Style): unknown => {
  if (Array.isArray(value)) {
    return value.map((item) => sortKeys(item, style));
  }
  if (value === null || typeof value !== 'object' || value instanceof Written) {
    return value;
  }
  const out: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value).sort(([a], [b]) => style.compare(a, b))) {
    setKey(out, key, sortKeys(item, style));
  }
  return out;
};

const escapeDollars = (text: string, options: RenderOptions): string => (options.rawDollars === true ? text : text.replaceAll('$', '$$$$'));
