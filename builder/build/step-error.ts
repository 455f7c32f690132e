import { HyprError, type HyprErrorOptions } from '../../base/errors.ts';

/** What went wrong in a step, before its place in the Dockerfile is known. */
export class StepFault extends Error {
  override readonly name = 'StepFault';
  readonly options: Pick<HyprErrorOptions, 'hint' | 'details'>;

  constructor(message: string, options: Pick<HyprErrorOptions, 'hint' | 'details'> = {}) {
    super(message);
    this.options = options;
  }
}

/** BUILD_FAILED with the step's file and line; errors that already say where they come from pass. */
export const stepError = (error: unknown, where: { file: string; line: number }): unknown => {
  if (error instanceof StepFault) {
    return new HyprError('BUILD_FAILED', error.message, { ...error.options, where });
  }
  if (error instanceof HyprError && error.where === undefined && error.code !== 'HYPR_CANCELLED') {
    return new HyprError(error.code, error.message, {
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      details: error.details,
      where,
      cause: error.cause ?? error,
    });
  }
  return error;
};
