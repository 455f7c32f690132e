import { type ErrorCode, type HyprError, toHyprError } from '../../../base/errors.ts';

/** An answer that is an error: `{"message": …}` with this status. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Statuses as moby's API description gives them; everything else is 500. */
const STATUSES: Readonly<Partial<Record<ErrorCode, number>>> = {
  HYPR_USAGE: 400,
  COMPOSE_NOT_FOUND: 404,
  COMPOSE_SYNTAX: 400,
  COMPOSE_INVALID: 400,
  COMPOSE_INTERPOLATION: 400,
  COMPOSE_ENV_FILE: 400,
  COMPOSE_LIMIT: 400,
  COMPOSE_NO_SERVICE: 404,
  IMAGE_REFERENCE: 400,
  IMAGE_LAYER: 400,
  NET_ADDRESS: 400,
  DOCKERFILE_SYNTAX: 400,
  DOCKERFILE_NOT_FOUND: 400,
  NOT_FOUND: 404,
  EXTERNAL_NOT_FOUND: 404,
  IMAGE_NOT_FOUND: 404,
  IMAGE_PLATFORM: 404,
  REGISTRY_AUTH: 401,
  NETWORK_IN_USE: 403,
  VOLUME_IN_USE: 409,
  IMAGE_IN_USE: 409,
  STACK_NOT_RUNNING: 409,
  STACK_BUSY: 409,
  HYPR_LOCKED: 409,
  HYPR_UNSUPPORTED: 501,
};

/** Status and text of whatever was thrown. */
export const describeError = (error: unknown): { readonly status: number; readonly message: string } => {
  if (error instanceof ApiError) {
    return { status: error.status, message: error.message };
  }
  const known = toHyprError(error);
  return { status: statusOf(known), message: textOf(known) };
};

const statusOf = ({ code, reason }: HyprError): number => (reason === 'notFound' ? 404 : (STATUSES[code] ?? 500));

/** One line, or a few: what is wrong, what is known about it, and what to do. */
const textOf = ({ message, details, hint }: HyprError): string =>
  [message, ...details, ...(hint === undefined ? [] : [`(${hint})`])].join(details.length > 0 ? '\n' : ' ');

export const notHere = (what: string, why: string): ApiError => new ApiError(501, `${what} is not supported by hypr: ${why}`);
