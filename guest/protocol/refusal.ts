import { HyprError } from '../../base/errors.ts';
import { REASON } from './tags.ts';

/** Why a guest refuses a request; docs/guest-protocol.md explains each reason. */
export type RefusalReason = keyof typeof REASON;

/** GUEST_REFUSED with a reason, for a request that a guest refused or would have to refuse. */
export const refused = (reason: RefusalReason | undefined, message: string): HyprError =>
  new HyprError('GUEST_REFUSED', message, reason === undefined ? {} : { reason });

/** Undefined for other errors, and for a refusal whose reason this host does not know. */
export const refusalReason = (error: unknown): RefusalReason | undefined =>
  error instanceof HyprError && error.code === 'GUEST_REFUSED' && isReason(error.reason) ? error.reason : undefined;

/** The reason with this number in the protocol. */
export const reasonNamed = (code: number | undefined): RefusalReason | undefined =>
  (Object.keys(REASON) as RefusalReason[]).find((name) => REASON[name] === code);

const isReason = (reason: string | undefined): reason is RefusalReason => reason !== undefined && Object.hasOwn(REASON, reason);
