import { errorFromJson, HyprError, toHyprError } from '../../base/errors.ts';
import type { ErrorJson } from './gen/hypr_pb.ts';
import { errorFrom } from './messages/errors.ts';

/** A failed call, with the Connect protocol's code (https://connectrpc.com/docs/protocol#error-codes). */
export class CallError extends Error {
  readonly code: string;
  /** The handler's HyprError, if the handler failed. */
  readonly detail: ErrorJson | undefined;
  /** What the other side wrote when it failed; empty when it was killed. */
  lastWords: readonly string[] = [];

  constructor(code: string, message: string, detail?: ErrorJson) {
    super(message);
    this.code = code;
    this.detail = detail;
  }
}

/**
 * The HyprError behind a failed call. `signal` is the one the call was made with: unless it is aborted, a cancelled call
 * means that the supervisor went away.
 */
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
  if (error.code === 'unimplemented') {
    return unknownCall(error);
  }
  return new HyprError('SUPERVISOR_FAILED', error.message, { cause: error });
};

const WENT_AWAY: ReadonlySet<string> = new Set(['unavailable', 'aborted', 'canceled']);

/** A supervisor lives as long as its stack, and one of an older hypr of the same API has fewer calls. */
const unknownCall = (error: CallError): HyprError =>
  new HyprError('SUPERVISOR_VERSION', `the supervisor of the stack is of a hypr that cannot do this yet (${error.message})`, {
    hint: 'end it: kill PID, which hypr doctor names. Its machines run on, and the next command starts a supervisor that takes them over',
    cause: error,
  });

/** A supervisor that fails says why before it exits; one that was killed, or told to exit, is not a bug in hypr. */
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
