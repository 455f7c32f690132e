import { HyprError } from '../../../base/errors.ts';

/*
 * Values of messages in JSON (https://protobuf.dev/programming-guides/json/): zero values are omitted, an enum is the
 * name of its value, a double may also be one of three words.
 */

/** A message to be sent: parts of it may be read-only, and undefined members are left out. */
export type Sent<T> = T extends Uint8Array
  ? T
  : T extends readonly (infer E)[]
    ? readonly Sent<E>[]
    : T extends object
      ? { readonly [K in keyof T]: Sent<T[K]> | undefined }
      : T;

type JsonDouble = number | 'NaN' | 'Infinity' | '-Infinity';

/** `running` as REPLICA_STATE_RUNNING. */
export const toEnum = <P extends string, V extends string>(prefix: P, value: V): `${P}_${Uppercase<V>}` =>
  `${prefix}_${value.toUpperCase() as Uppercase<V>}`;

/** REPLICA_STATE_RUNNING as `running`. A value that only a newer version knows keeps its name. */
export const fromEnum = <V extends string>(prefix: string, name: string | undefined, unspecified: V): V =>
  name === undefined || name === `${prefix}_UNSPECIFIED` ? unspecified : (name.slice(prefix.length + 1).toLowerCase() as V);

export const double = (value: JsonDouble | undefined): number => Number(value ?? 0);

export const optionalDouble = (value: JsonDouble | undefined): number | undefined => (value === undefined ? undefined : Number(value));

/** Returns a required value. Throws SUPERVISOR_VERSION when it is missing: a supervisor of this version would have sent it. */
export const needed = <T>(value: T | undefined, what: string): T => {
  if (value === undefined || value === null) {
    throw malformed(`without ${what}`);
  }
  return value;
};

/** Returns a required, non-empty text. */
export const neededText = (value: string | undefined, what: string): string => {
  if (typeof value !== 'string' || value === '') {
    throw malformed(`without ${what}`);
  }
  return value;
};

/** The error for an answer that no supervisor of this version would give. */
export const malformed = (how: string): HyprError =>
  new HyprError('SUPERVISOR_VERSION', `the supervisor of the stack gave an answer ${how}`, {
    hint: 'it is of another version of hypr. End it with kill: its machines run on, and the next command takes them over',
  });

/** Removes undefined members, for types that distinguish absent from undefined. */
export const present = <T extends object>(values: T): Present<T> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Present<T>;

type Present<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};
