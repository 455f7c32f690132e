import { HyprError } from '../../base/errors.ts';

/**
 * `type=local,dest=out` as fields (RFC 4180: a field with commas is quoted as a whole, `"name=a,b"`). Keys are
 * lower-cased; a field without `=` has no value. Throws HYPR_USAGE for a key that occurs twice.
 */
export const parseFields = (text: string, flag: string): Map<string, string | undefined> => {
  const fields = new Map<string, string | undefined>();
  for (const field of splitCsv(text, flag)) {
    const at = field.indexOf('=');
    const key = (at < 0 ? field : field.slice(0, at)).trim().toLowerCase();
    if (key === '' || fields.has(key)) {
      throw new HyprError('HYPR_USAGE', `${flag} ${text}: ${key === '' ? 'a field is empty' : `${key} is given twice`}`);
    }
    fields.set(key, at < 0 ? undefined : field.slice(at + 1));
  }
  return fields;
};

const splitCsv = (text: string, flag: string): string[] => {
  const fields: string[] = [];
  for (let at = 0; at <= text.length; ) {
    const match = /^(?:"((?:[^"]|"")*)"|([^",]*))(?:,|$)/.exec(text.slice(at));
    if (match === null) {
      throw new HyprError('HYPR_USAGE', `${flag} ${text}: the quotes do not match`, { hint: 'quote whole fields: "name=a,b"' });
    }
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
    at += match[0].length;
    if (!match[0].endsWith(',')) {
      break;
    }
  }
  return fields;
};

/** A field as Go reads booleans; one without a value is true. Throws HYPR_USAGE. */
export const readBool = (fields: ReadonlyMap<string, string | undefined>, key: string, flag: string): boolean | undefined => {
  if (!fields.has(key)) {
    return undefined;
  }
  const value = fields.get(key) ?? 'true';
  if (!/^(1|t|true|0|f|false)$/i.test(value)) {
    throw new HyprError('HYPR_USAGE', `${flag}: ${key}=${value} is neither true nor false`);
  }
  return /^(1|t)/i.test(value);
};

/** Throws HYPR_USAGE when a field is not one of `known`. */
export const refuseUnknown = (fields: ReadonlyMap<string, string | undefined>, known: readonly string[], flag: string): void => {
  const unknown = [...fields.keys()].find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw new HyprError('HYPR_USAGE', `${flag}: "${unknown}" is not known`, { hint: `known keys: ${known.join(', ')}` });
  }
};
