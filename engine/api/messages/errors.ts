import { ERRORS } from '../../../base/error-catalogue.ts';
import type { ErrorCode, ErrorJson } from '../../../base/errors.ts';
import type { ErrorJson as ErrorMessageJson } from '../gen/hypr_pb.ts';
import { present } from './values.ts';

/** Reads a HyprError of the supervisor. A code that only a newer version knows becomes a failure of the supervisor. */
export const errorFrom = (json: ErrorMessageJson): ErrorJson => {
  const { code = '', message = '', hint, where, path = [], details = [], reason } = json;
  const known: ErrorCode = Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'SUPERVISOR_FAILED';
  const place = where && { file: where.file ?? '', ...present({ line: where.line, column: where.column }) };
  return { code: known, message, details, ...present({ hint, where: place, path: path.length > 0 ? path : undefined, reason }) };
};
