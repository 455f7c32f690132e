import { HyprError } from '../../base/errors.ts';
import { REASON } from './tags.ts';

/** Why a guest does not do what it was asked for; docs/guest-protocol.md says what each means. */
export type RefusalReason = keyof typeof REASON;

/** A request that a guest refused, or that it could only refuse: GUEST_REFUSED with a reason. */
export const refused = (reason: RefusalReason | undefined, message: string): HyprError =>
  new HyprError('GUEST_REFUSED', message, reason === undefined ? {} : { reason });

/** Undefined for other errors, and for a refusal whose reason this host does not know. */
export const refusalReason = (error: unknown): RefusalReason | undefined =>
  error instanceof HyprError && error.code === 'GUEST_REFUSED' && isReason(error.reason) ? error.reason : undefined;

/** The name of a number of the protocol. */
export const reasonNamed = (code: number | undefined): RefusalReason | undefined =>
  (Object.keys(REASON) as RefusalReason[]).find((name) => REASON[name] === code);

const isReason = (reason: string | undefined): reason is RefusalReason => reason !== undefined && Object.hasOwn(REASON, reason);
