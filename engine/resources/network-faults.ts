import { HyprError, type HyprErrorOptions } from '../../base/errors.ts';

/** HYPR_UNSUPPORTED with its place in the file. */
export const refuse = (message: string, path: readonly string[], more: Pick<HyprErrorOptions, 'hint'> = {}): HyprError =>
  new HyprError('HYPR_UNSUPPORTED', message, { path, ...more });

/** COMPOSE_INVALID with its place in the file. */
export const invalid = (message: string, path: readonly string[], more: Pick<HyprErrorOptions, 'hint'> = {}): HyprError =>
  new HyprError('COMPOSE_INVALID', message, { path, ...more });

/** Gives an error of an address its place in the file. */
export const at = <T>(path: readonly string[], work: () => T): T => {
  try {
    return work();
  } catch (error) {
    if (error instanceof HyprError && error.path === undefined) {
      const { code, message, hint } = error;
      throw new HyprError(code, `${path.slice(1, 2).join('')}: ${message}`, {
        path,
        ...(hint === undefined ? {} : { hint }),
        cause: error,
      });
    }
    throw error;
  }
};
