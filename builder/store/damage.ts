import { HyprError, isErrno, messageOf } from '../../base/errors.ts';

/** What a check of the store found: something is not what was made. */
export class Damage extends Error {}

/**
 * Why a part of the store is damaged, in words. Rethrows whatever says nothing of the part itself: a full disk, too many open
 * files, a disk that cannot be read, a tool that failed. Nothing may be removed for those.
 */
export const damageOf = (error: unknown): string => {
  const isOfPart =
    error instanceof Damage ||
    error instanceof SyntaxError ||
    (error instanceof HyprError && (error.code === 'IMAGE_CORRUPT' || error.code === 'IMAGE_LAYER')) ||
    isErrno(error, 'ENOENT', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG', 'ERR_INVALID_ARG_VALUE');
  if (!isOfPart) {
    throw error;
  }
  return messageOf(error);
};
