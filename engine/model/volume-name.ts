import { HyprError } from '../../base/errors.ts';

/**
 * What becomes of the anonymous volumes of a replica that is removed. `keep`: they stay as volumes that nobody has, as docker's do unless
 * `-v` is given; `remove`: they go, those that another replica has as well with that; `hand-on`: its successor of the same name has them.
 */
export type AnonymousFate = 'keep' | 'remove' | 'hand-on';

/** The label of a volume that nobody named; docker's own. */
export const ANONYMOUS_LABEL = 'com.docker.volume.anonymous';

/** Enforces docker's rule for volume names, because names become parts of paths here. */
export const refuseBadVolumeName = (name: string): void => {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) {
    throw new HyprError('COMPOSE_INVALID', `volume name "${name}" is not valid`, {
      hint: 'letters, digits, "_", "." and "-", beginning with a letter or digit',
    });
  }
};
