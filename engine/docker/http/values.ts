import { ApiError } from './errors.ts';

/** Members of a request's JSON, which may be anything. Nothing, null and an empty text are the same, as in Go. */

export const asText = (value: unknown): string | undefined => {
  if (value === undefined || value === null || value === '') {
    return undefined;
  }
  return typeof value === 'string' ? value : fail('a text', value);
};

export const asNumber = (value: unknown): number | undefined => {
  if (value === undefined || value === null || value === 0) {
    return undefined;
  }
  return typeof value === 'number' && Number.isFinite(value) ? value : fail('a number', value);
};

export const asList = (value: unknown): readonly unknown[] => {
  if (value === undefined || value === null) {
    return [];
  }
  return Array.isArray(value) ? value : fail('a list', value);
};

/** A list of texts; one text alone is a list of one. */
export const asTexts = (value: unknown): readonly string[] =>
  typeof value === 'string' ? [value] : asList(value).map((each) => asText(each) ?? '');

export const asRecord = (value: unknown): Readonly<Record<string, unknown>> => {
  if (value === undefined || value === null) {
    return {};
  }
  return typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : fail('an object', value);
};

/** An object of texts. */
export const asMap = (value: unknown): Record<string, string> =>
  Object.fromEntries(Object.entries(asRecord(value)).map(([key, each]) => [key, each === null ? '' : String(each)]));

const fail = (wanted: string, value: unknown): never => {
  throw new ApiError(400, `${JSON.stringify(value)?.slice(0, 80)} is not ${wanted}`);
};
