import { type ErrorJson, errorFromJson, HyprError, toHyprError } from '../../base/errors.ts';

/** The header that carries a HyprError's JSON, in base64url; see toConnectError. */
export const ERROR_HEADER = 'hypr-error';

/** A call that failed, with the Connect protocol's word for why (https://connectrpc.com/docs/protocol#error-codes). */
export class CallError extends Error {
  readonly code: string;
  /** What ERROR_HEADER said. */
  readonly json: string | undefined;

  constructor(code: string, message: string, json?: string) {
    super(message);
    this.code = code;
    this.json = json;
  }
}

/** What a call failed with. `signal` is the one the call was made with: without its word, a cancelled call is a supervisor that went away. */
export const fromCallError = (error: unknown, signal?: AbortSignal): HyprError => {
  if (!(error instanceof CallError)) {
    return toHyprError(error);
  }
  if (error.json !== undefined) {
    return errorFromJson(JSON.parse(Buffer.from(error.json, 'base64url').toString('utf8')) as ErrorJson);
  }
  if (error.code === 'canceled' && signal?.aborted) {
    return new HyprError('HYPR_CANCELLED', 'cancelled', { cause: error });
  }
  if (WENT_AWAY.has(error.code)) {
    return new HyprError('SUPERVISOR_FAILED', `the supervisor of the stack went away (${error.message})`, {
      hint: 'run the command again: it takes over what still runs',
      cause: error,
    });
  }
  return new HyprError('SUPERVISOR_FAILED', error.message, { cause: error });
};

const WENT_AWAY: ReadonlySet<string> = new Set(['unavailable', 'aborted', 'unknown', 'canceled']);
