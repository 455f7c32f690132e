import { HyprError } from '../../base/errors.ts';

/** Enforces docker's rule for volume names, because names become parts of paths here. */
export const refuseBadVolumeName = (name: string): void => {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) {
    throw new HyprError('COMPOSE_INVALID', `volume name "${name}" is not valid`, {
      hint: 'letters, digits, "_", "." and "-", beginning with a letter or digit',
    });
  }
};
