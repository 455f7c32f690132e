import { HyprError, messageOf } from '../../base/errors.ts';
import { readTextIfThere } from '../../base/host/files.ts';

/** The keys that a record must have, and what `typeof` says of them; `list` for an array. */
export type Shape = Readonly<Record<string, 'string' | 'number' | 'boolean' | 'object' | 'list'>>;

/** A small JSON file of the store; undefined when there is none. Throws IMAGE_CORRUPT when it is no JSON, or lacks a key. */
export const readRecord = async <T>(path: string, shape: Shape): Promise<T | undefined> => {
  const text = await readTextIfThere(path);
  if (text === undefined) {
    return undefined;
  }
  try {
    const record = JSON.parse(text) as unknown;
    const missing = Object.keys(shape).find((key) => kindOf((record as Readonly<Record<string, unknown>> | null)?.[key]) !== shape[key]);
    if (missing !== undefined) {
      throw new Error(`it has no ${missing}`);
    }
    return record as T;
  } catch (error) {
    throw new HyprError('IMAGE_CORRUPT', `${path} is damaged: ${messageOf(error)}`, { hint: 'hypr system check --repair', cause: error });
  }
};

const kindOf = (value: unknown): string => (Array.isArray(value) ? 'list' : value === null ? 'null' : typeof value);
