import { formatPlace, HyprError, type HyprErrorOptions } from '../../../base/errors.ts';

/** A failure of a step whose place in the Dockerfile is not known yet. */
export class StepFault extends Error {
  override readonly name = 'StepFault';
  readonly options: Pick<HyprErrorOptions, 'hint' | 'details'>;

  constructor(message: string, options: Pick<HyprErrorOptions, 'hint' | 'details'> = {}) {
    super(message);
    this.options = options;
  }
}

/** BUILD_FAILED with the step's file, line and excerpt, then its last output; errors that have a place already are passed on. */
export const stepError = (error: unknown, where: { file: string; line: number }, excerpt: readonly string[] = []): unknown => {
  if (error instanceof StepFault) {
    const place = excerpt.length === 0 ? [] : [`${formatPlace(where)}`, ...excerpt];
    return new HyprError('BUILD_FAILED', error.message, { ...error.options, where, details: [...place, ...(error.options.details ?? [])] });
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

const LINES_AROUND = 2;
/** An instruction may be a whole program. */
const MAX_SHOWN = 30;
const RULER = '-'.repeat(20);

/** The lines of an instruction with those around it, marked as BuildKit does. Lines count from 1. */
export const excerptOf = (text: string, { line, endLine }: { readonly line: number; readonly endLine: number }): string[] => {
  const lines = text.split(/\r?\n/);
  const last = Math.min(endLine, line + MAX_SHOWN - 1);
  const first = Math.max(1, line - LINES_AROUND);
  const end = Math.min(lines.at(-1) === '' ? lines.length - 1 : lines.length, last + LINES_AROUND);
  const shown = lines.slice(first - 1, end).map((content, index) => {
    const number = first + index;
    return `${String(number).padStart(4)} | ${number >= line && number <= last ? '>>>' : '   '} ${content}`.trimEnd();
  });
  return [RULER, ...shown, RULER];
};
