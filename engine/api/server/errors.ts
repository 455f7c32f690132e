import { Code, ConnectError } from '@connectrpc/connect';
import { toHyprError } from '../../../base/errors.ts';
import { ERROR_HEADER } from '../call-error.ts';

/** A HyprError as the RPC's error; its JSON travels whole in a header, so that the CLI can print hint and place. */
export const toConnectError = (error: unknown): ConnectError => {
  const known = toHyprError(error);
  const code = known.code === 'HYPR_CANCELLED' ? Code.Canceled : known.isUserError ? Code.FailedPrecondition : Code.Internal;
  const json = Buffer.from(JSON.stringify(known.toJSON())).toString('base64url');
  return new ConnectError(known.message, code, { [ERROR_HEADER]: json });
};
