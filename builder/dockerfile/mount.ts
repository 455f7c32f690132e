import { SyntaxFault } from './errors.ts';
import { didYouMean } from './suggest.ts';

/** One `RUN --mount=…`: its keys are checked and aliases replaced, variables in values are not expanded yet. */
export interface ParsedMount {
  readonly text: string;
  readonly fields: ReadonlyMap<string, string>;
  /** A stage, a context or an image; never contains variables. */
  readonly from: string | undefined;
}

/** A mount with its variables expanded, checked, with defaults filled in. Sizes are bytes; modes are numbers. */
export interface Mount {
  readonly type: 'bind' | 'cache' | 'tmpfs' | 'secret' | 'ssh';
  readonly target: string | undefined;
  readonly source: string | undefined;
  readonly from: string | undefined;
  readonly readOnly: boolean;
  readonly required: boolean;
  readonly id: string | undefined;
  readonly env: string | undefined;
  readonly sharing: 'shared' | 'private' | 'locked';
  readonly size: number | undefined;
  readonly mode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

const TYPES = ['bind', 'cache', 'tmpfs', 'secret', 'ssh'];
const ALIASES: Readonly<Record<string, string>> = { src: 'source', dst: 'target', destination: 'target', ro: 'readonly', rw: 'readwrite' };
const KEYS = [
  'type',
  'from',
  'source',
  'target',
  'readonly',
  'readwrite',
  'id',
  'sharing',
  'required',
  'size',
  'mode',
  'uid',
  'gid',
  'env',
  'src',
  'dst',
  'destination',
  'ro',
  'rw',
];
const FLAGS = new Set(['readonly', 'readwrite', 'required']);

/** Parses the value of `--mount`. Throws SyntaxFault with BuildKit's message. */
export const parseMount = (text: string): ParsedMount => {
  const fields = new Map<string, string>();
  for (const field of splitCsv(text)) {
    const at = field.indexOf('=');
    const written = (at < 0 ? field : field.slice(0, at)).toLowerCase();
    const key = ALIASES[written] ?? written;
    if (!KEYS.includes(key)) {
      throw new SyntaxFault(`unexpected key '${written}' in '${field}'${didYouMean(written, KEYS)}`);
    }
    if (at < 0 && !FLAGS.has(key)) {
      throw new SyntaxFault(`invalid field '${field}' must be a key=value pair`);
    }
    const value = at < 0 ? 'true' : field.slice(at + 1);
    if (key === 'from' && /\$./.test(value)) {
      throw new SyntaxFault(`'from' doesn't support variable expansion, define alias stage instead`);
    }
    fields.set(key, value);
  }
  const mount = { text, fields, from: fields.get('from') || undefined };
  // Values with variables are only known when the step is reached; everything else is checked now.
  if (![...fields.values()].some((value) => /[$\\]/.test(value))) {
    expandMount(mount, (value) => value);
  }
  return mount;
};

/** Applies `expand` to every value except that of `from`, and checks the result. Throws SyntaxFault with BuildKit's message. */
export const expandMount = (mount: ParsedMount, expand: (value: string) => string): Mount =>
  checkMount(new Map(Array.from(mount.fields, ([key, value]) => [key, key === 'from' ? value : expand(value)])));

const checkMount = (fields: ReadonlyMap<string, string>): Mount => {
  const type = (fields.get('type') ?? 'bind').toLowerCase();
  if (!isType(type)) {
    throw new SyntaxFault(`unsupported mount type ${JSON.stringify(type)}${didYouMean(type, TYPES)}`);
  }
  const refuse = (key: string, types: string[]) => {
    if (fields.has(key) && !types.includes(type)) {
      throw new SyntaxFault(`unexpected key '${key}' for mount type '${type}'`);
    }
  };
  for (const key of ['mode', 'uid', 'gid']) {
    refuse(key, ['secret', 'ssh', 'cache']);
  }
  refuse('size', ['tmpfs']);
  refuse('sharing', ['cache']);
  refuse('required', ['secret', 'ssh']);
  const target = fields.get('target');
  if (target !== undefined && /^\/+(\.?\/*)*$/.test(target)) {
    throw new SyntaxFault(`invalid mount target ${JSON.stringify(target)}`);
  }
  if (type === 'secret') {
    checkSecret(fields);
  }
  return buildMount(type, fields);
};

const checkSecret = (fields: ReadonlyMap<string, string>): void => {
  const [id, source] = [fields.get('id'), fields.get('source')];
  if (fields.get('from')) {
    throw new SyntaxFault('secret mount should not have a from');
  }
  if (!id && !source && !fields.get('target')) {
    throw new SyntaxFault('invalid secret mount. one of source, target required');
  }
  if (id && source) {
    throw new SyntaxFault("both source and id can't be set");
  }
};

const buildMount = (type: Mount['type'], fields: ReadonlyMap<string, string>): Mount => {
  const sharing = (fields.get('sharing') ?? 'shared').toLowerCase();
  if (sharing !== 'shared' && sharing !== 'private' && sharing !== 'locked') {
    throw new SyntaxFault(`unsupported sharing value ${JSON.stringify(sharing)}${didYouMean(sharing, ['shared', 'private', 'locked'])}`);
  }
  const bool = (key: string): boolean | undefined => {
    const value = fields.get(key)?.toLowerCase();
    if (value === undefined) {
      return undefined;
    }
    if (!['true', 't', '1', 'false', 'f', '0'].includes(value)) {
      throw new SyntaxFault(`invalid value for ${key}: ${value}`);
    }
    return ['true', 't', '1'].includes(value);
  };
  const readWrite = bool('readwrite');
  const size = fields.get('size');
  return {
    type,
    target: fields.get('target') || undefined,
    source: fields.get('source') || undefined,
    from: fields.get('from') || undefined,
    readOnly: bool('readonly') ?? (readWrite === undefined ? type === 'bind' : !readWrite),
    required: bool('required') ?? false,
    id: fields.get('id') || undefined,
    env: fields.get('env') || undefined,
    sharing,
    size: size === undefined ? undefined : parseSize(size),
    mode: parseNumber(fields, 'mode', 8),
    uid: parseNumber(fields, 'uid', 10),
    gid: parseNumber(fields, 'gid', 10),
  };
};

const isType = (type: string): type is Mount['type'] => TYPES.includes(type);

const parseNumber = (fields: ReadonlyMap<string, string>, key: string, radix: number): number | undefined => {
  const text = fields.get(key);
  if (text === undefined) {
    return undefined;
  }
  const value = Number.parseInt(text, radix);
  if (!(radix === 8 ? /^[0-7]{1,7}$/ : /^\d{1,10}$/).test(text) || !Number.isSafeInteger(value)) {
    throw new SyntaxFault(`invalid value ${text} for ${key}`);
  }
  return value;
};

const SIZE = /^(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?$/i;

/** `64m`, `1g`, `512k`, plain bytes: binary units, as in go-units. */
const parseSize = (text: string): number => {
  const match = SIZE.exec(text.trim());
  if (match === null) {
    throw new SyntaxFault(`invalid value for size: ${text}`);
  }
  const power = ['', 'k', 'm', 'g', 't', 'p'].indexOf((match[2] ?? '').toLowerCase());
  return Math.floor(Number(match[1]) * 1024 ** power);
};

/** Fields of one CSV record (RFC 4180): a quoted field may hold commas, a doubled quote is one. */
const splitCsv = (text: string): string[] => {
  const fields: string[] = [];
  let field = '';
  let quoted = false;
  for (let pos = 0; pos < text.length; pos++) {
    const ch = text[pos];
    if (quoted && ch === '"' && text[pos + 1] === '"') {
      field += '"';
      pos++;
    } else if (ch === '"' && (quoted || field === '')) {
      quoted = !quoted;
    } else if (ch === ',' && !quoted) {
      fields.push(field);
      field = '';
    } else {
      field += ch;
    }
  }
  if (quoted) {
    throw new SyntaxFault(`failed to parse csv mounts: unmatched quote in '${text}'`);
  }
  return [...fields, field];
};
