import { HyprError, type Place } from '../../base/errors.ts';
import type { Project, Service } from '../model/model.ts';

/** Finds the source location and excerpt for a path of the model. */
export type Locate = (path: readonly string[]) => { where?: Place; details?: readonly string[] };

/** What a rule about one service looks at. */
export interface Check {
  readonly name: string;
  readonly service: Service;
  readonly project: Project;
  readonly locate: Locate;
}

/** COMPOSE_INVALID at a path below the service, `["build", "dockerfile_inline"]`. */
export const invalid = (check: Check, message: string, options: { at: readonly string[]; hint?: string | undefined }): HyprError =>
  new HyprError('COMPOSE_INVALID', message, {
    ...check.locate(['services', check.name, ...options.at]),
    ...(options.hint === undefined ? {} : { hint: options.hint }),
  });
