import { Code, ConnectError } from '@connectrpc/connect';
import { type ErrorJson, errorFromJson, HyprError, toHyprError } from '../../base/errors.ts';

const HEADER = 'hypr-error';

/** A HyprError as the RPC's error; its JSON travels whole in a header, so that the CLI can print hint and place. */
export const toConnectError = (error: unknown): ConnectError => {
  const known = toHyprError(error);
  const code = known.code === 'HYPR_CANCELLED' ? Code.Canceled : known.isUserError ? Code.FailedPrecondition : Code.Internal;
  const json = Buffer.from(JSON.stringify(known.toJSON())).toString('base64url');
  return new ConnectError(known.message, code, { [HEADER]: json });
};

/** What a call failed with. `signal` is the one the call was made with: without its word, a cancelled call is a supervisor that went away. */
export const fromConnectError = (error: unknown, signal?: AbortSignal): HyprError => {
  if (!(error instanceof ConnectError)) {
    return toHyprError(error);
  }
  const header = error.metadata.get(HEADER);
  if (header !== null) {
    return errorFromJson(JSON.parse(Buffer.from(header, 'base64url').toString('utf8')) as ErrorJson);
  }
  if (error.code === Code.Canceled && signal?.aborted) {
    return new HyprError('HYPR_CANCELLED', 'cancelled', { cause: error });
  }
  if (WENT_AWAY.has(error.code)) {
    return new HyprError('SUPERVISOR_FAILED', `the supervisor of the stack went away (${error.rawMessage})`, {
      hint: 'run the command again: it takes over what still runs',
      cause: error,
    });
  }
  return new HyprError('SUPERVISOR_FAILED', error.rawMessage, { cause: error });
};

const WENT_AWAY: ReadonlySet<Code> = new Set([Code.Unavailable, Code.Aborted, Code.Unknown, Code.Canceled]);
