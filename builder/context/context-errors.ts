import { join } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';

/** The reason of errors about files that changed under the build, which may be read again. */
export const CONTEXT_CHANGED = 'context-changed';

export const changedError = (root: string, path: string): HyprError =>
  new HyprError('BUILD_FAILED', `${join(root, path)} changed while it was being read`, {
    hint: 'build again when nothing writes to the context',
    reason: CONTEXT_CHANGED,
  });

/** For a file that existed when its folder was listed. */
export const openError = (error: unknown, root: string, path: string): unknown =>
  isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP') ? changedError(root, path) : readError(error, root, path);

export const readError = (error: unknown, root: string, path: string): unknown =>
  isErrno(error, 'EACCES', 'EPERM')
    ? new HyprError('HYPR_PERMISSION', `${join(root, path)} of the build context is not readable`, {
        hint: 'change its permissions, or name it in .dockerignore',
        cause: error,
      })
    : error;
