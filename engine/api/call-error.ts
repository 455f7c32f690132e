import { errorFromJson, HyprError, toHyprError } from '../../base/errors.ts';
import type { ErrorJson } from './gen/hypr_pb.ts';
import { errorFrom } from './messages/errors.ts';

/** A call that failed, with the Connect protocol's word for why (https://connectrpc.com/docs/protocol#error-codes). */
export class CallError extends Error {
  readonly code: string;
  /** The HyprError that it failed with, when it was the handler that failed. */
  readonly detail: ErrorJson | undefined;
  /** What the other side said when it failed; empty when it was killed. */
  lastWords: readonly string[] = [];

  constructor(code: string, message: string, detail?: ErrorJson) {
    super(message);
    this.code = code;
    this.detail = detail;
  }
}

/** What a call failed with. `signal` is the one the call was made with: without its word, a cancelled call is a supervisor that went away. */
export const fromCallError = (error: unknown, signal?: AbortSignal): HyprError => {
  if (!(error instanceof CallError)) {
    return toHyprError(error);
  }
  if (error.detail !== undefined) {
    return errorFromJson(errorFrom(error.detail));
  }
  if (error.code === 'canceled' && signal?.aborted) {
    return new HyprError('HYPR_CANCELLED', 'cancelled', { cause: error });
  }
  if (WENT_AWAY.has(error.code)) {
    return goneError(error);
  }
  return new HyprError('SUPERVISOR_FAILED', error.message, { cause: error });
};

const WENT_AWAY: ReadonlySet<string> = new Set(['unavailable', 'aborted', 'canceled']);

/** A supervisor that fails says why before it ends; one that is killed, or told to end, is no mistake of ours. */
const goneError = (error: CallError): HyprError => {
  const hint = 'run the command again: it takes over what still runs';
  return error.lastWords.length > 0
    ? new HyprError('SUPERVISOR_FAILED', 'the supervisor of the stack failed in the middle of this command', {
        hint,
        details: error.lastWords,
        cause: error,
      })
    : new HyprError(
        'SUPERVISOR_GONE',
        `the supervisor of the stack was killed, or told to end, in the middle of this command (${error.message})`,
        {
          hint,
          cause: error,
        },
      );
};
