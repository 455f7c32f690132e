import { ERRORS } from './error-catalogue.ts';

export type ErrorCode = keyof typeof ERRORS;

/** A place in a file a person can edit; lines and columns count from 1. */
export interface Place {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
}

export interface HyprErrorOptions {
  /** What to do about it: one sentence, a command where there is one. */
  readonly hint?: string;
  readonly where?: Place;
  /** The path in the model, where the file is not known: `['services', 'web', 'pid']`. */
  readonly path?: readonly string[];
  /** Finer than the code, for programs: why a guest refused (`guest/protocol/refusal.ts`). */
  readonly reason?: string;
  /** Further lines under the message: last console lines, last probe output, the holder of a port. */
  readonly details?: readonly string[];
  readonly cause?: unknown;
}

/**
 * The one error class of hypr. `message` says what is wrong in terms of the user's files and
 * services; `code` comes from the catalogue, which also says whether the user can fix it.
 */
export class HyprError extends Error {
  override readonly name = 'HyprError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly where: Place | undefined;
  readonly path: readonly string[] | undefined;
  readonly reason: string | undefined;
  readonly details: readonly string[];

  constructor(code: ErrorCode, message: string, options: HyprErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.where = options.where;
    this.path = options.path;
    this.reason = options.reason;
    this.details = options.details ?? [];
  }

  /** False for bugs of hypr itself, which are printed with their stack. */
  get isUserError(): boolean {
    return ERRORS[this.code].kind === 'user';
  }

  toJSON(): ErrorJson {
    const { code, message, hint, where, path, reason, details } = this;
    return {
      ...{ code, message, details: [...details] },
      ...(hint ? { hint } : {}),
      ...(where ? { where } : {}),
      ...(path ? { path } : {}),
      ...(reason ? { reason } : {}),
    };
  }
}

/** `instanceof` also compares names, because a built bundle has its own copy of this class (see cli/entry/start.ts). */
Object.defineProperty(HyprError, Symbol.hasInstance, {
  value(this: unknown, value: unknown): boolean {
    const isOne = Function.prototype[Symbol.hasInstance].call(this, value);
    // Not for the classes below, which inherit this.
    return isOne || (this === HyprError && value instanceof Error && value.name === 'HyprError');
  },
});

/** How an error crosses the supervisor's socket. */
export interface ErrorJson {
  code: ErrorCode;
  message: string;
  hint?: string;
  where?: Place;
  path?: readonly string[];
  reason?: string;
  details: string[];
}

export const errorFromJson = (json: ErrorJson): HyprError => new HyprError(json.code, json.message, json);

/** Converts any thrown value to a HyprError; other errors become HYPR_INTERNAL with the original as their cause. */
export const toHyprError = (error: unknown): HyprError => {
  if (error instanceof HyprError) {
    return error;
  }
  if (isAbort(error)) {
    return new HyprError('HYPR_CANCELLED', 'cancelled', { cause: error });
  }
  return new HyprError('HYPR_INTERNAL', messageOf(error), { cause: error });
};

/**
 * The error with the path in the model of what it is about, which the command makes a line of the Compose file of. One that has a place
 * already, and what was called off, stay as they are.
 */
export const atPath = (error: unknown, path: readonly string[]): unknown =>
  error instanceof HyprError && error.where === undefined && error.path === undefined && !isAbort(error)
    ? new HyprError(error.code, error.message, { ...error.toJSON(), path, cause: error.cause ?? error })
    : error;

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export const isAbort = (error: unknown): boolean =>
  error instanceof Error && (error.name === 'AbortError' || (error instanceof HyprError && error.code === 'HYPR_CANCELLED'));

/** True for Node system errors with one of the given codes, e.g. `isErrno(e, 'ENOENT')`. */
export const isErrno = (error: unknown, ...codes: string[]): error is NodeJS.ErrnoException =>
  error instanceof Error && codes.includes((error as NodeJS.ErrnoException).code ?? '');

export const formatPlace = (place: Place): string =>
  [place.file, place.line, place.line === undefined ? undefined : place.column].filter((part) => part !== undefined).join(':');
