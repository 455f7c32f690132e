import { Code, ConnectError } from '@connectrpc/connect';
import { toHyprError } from '../../../base/errors.ts';
import { ErrorSchema } from '../gen/hypr_pb.ts';

/** Turns a HyprError into the RPC's error. Its detail holds all of it, so that the CLI can print hint and place. */
export const toConnectError = (error: unknown): ConnectError => {
  if (error instanceof ConnectError) {
    return error;
  }
  const known = toHyprError(error);
  const code = known.code === 'HYPR_CANCELLED' ? Code.Canceled : known.isUserError ? Code.FailedPrecondition : Code.Internal;
  const { path = [], ...value } = known.toJSON();
  return new ConnectError(known.message, code, undefined, [{ desc: ErrorSchema, value: { ...value, path: [...path] } }]);
};
