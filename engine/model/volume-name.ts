import { HyprError } from '../../base/errors.ts';

/** The label of a volume that nobody named; docker's own. Such a volume goes with what made it. */
export const ANONYMOUS_LABEL = 'com.docker.volume.anonymous';

/** Enforces docker's rule for volume names, because names become parts of paths here. */
export const refuseBadVolumeName = (name: string): void => {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) {
    throw new HyprError('COMPOSE_INVALID', `volume name "${name}" is not valid`, {
      hint: 'letters, digits, "_", "." and "-", beginning with a letter or digit',
    });
  }
};
