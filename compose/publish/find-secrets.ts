import { isLiteral, SECRET_KINDS, SUSPICIOUS_KEY } from './secret-kinds.ts';

export interface FoundSecret {
  readonly type: string;
  /** Its dotted path or its variable; empty in a file without names. */
  readonly key: string;
  readonly value: string;
}

/** Values shorter than this are no secrets, whatever their name. */
const MIN_NAMED = 4;

/** Credentials in a text file: by name where each line is `NAME=VALUE`, otherwise wherever they are. */
export const findInText = (text: string): FoundSecret[] => {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !/^\s*[#;]/.test(line));
  const pairs = lines.map((line) => /^\s*(?:export\s+)?([\w.-]+)\s*=\s*(.*?)\s*$/.exec(line));
  if (lines.length > 0 && pairs.every((pair) => pair !== null)) {
    return findInValues(new Map(pairs.map((pair) => [pair[1] ?? '', (pair[2] ?? '').replace(/^(['"])(.*)\1$/, '$2')])));
  }
  return SECRET_KINDS.filter(({ type }) => type !== 'High entropy string').flatMap(({ type, forms, isOne }) =>
    forms.flatMap((form) =>
      [...text.matchAll(new RegExp(form, `g${form.flags}`))].flatMap(([value]) =>
        isOne === undefined || isOne(value) ? [{ type, key: '', value }] : [],
      ),
    ),
  );
};

/** Credentials among values by their path: one for each value that is one as a whole, or has a name that says so. */
export const findInValues = (values: ReadonlyMap<string, string>): FoundSecret[] =>
  [...values].flatMap(([key, value]) => {
    const kind = SECRET_KINDS.find(
      ({ forms, isOne }) =>
        forms.some((form) => new RegExp(`^\\s*['"]?(?:${form.source})['"]?\\s*$`, `m${form.flags}`).test(value)) &&
        (isOne === undefined || isOne(value.trim())),
    );
    if (kind !== undefined) {
      return [{ type: kind.type, key, value }];
    }
    const named = SUSPICIOUS_KEY.test(key.split('.').at(-1) ?? '') && value.length >= MIN_NAMED && isLiteral(value);
    return named ? [{ type: 'Suspicious Keyword', key, value }] : [];
  });
