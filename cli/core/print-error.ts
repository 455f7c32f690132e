import { type ErrorCode, formatPlace, HyprError, toHyprError } from '../../base/errors.ts';
import { sanitiseName, sanitiseText } from '../../base/sanitise.ts';
import { mapFrames } from '../../base/source-frames.ts';
import { foldIndented, foldWords } from './output.ts';
import { createPaint, type Paint } from './style.ts';

export interface ErrorStyle {
  readonly color: boolean;
  /** One JSON line, for `--progress json`. */
  readonly json: boolean;
  readonly unicode: boolean;
  readonly columns: number;
  /** A terminal's lines are folded at words; what a program reads is not. */
  readonly folds?: boolean;
  /** Show the stack of every error. */
  readonly verbose?: boolean;
}

/**
 * An error as a person reads it: what is wrong and its code, where and who, what to do. Only a bug of
 * hypr's shows a stack. Ends with a newline.
 */
export const formatError = (error: unknown, style: ErrorStyle): string => {
  const known = toHyprError(error);
  if (style.json) {
    return `${JSON.stringify({ error: true, message: known.message, code: known.code })}\n`;
  }
  const paint = createPaint(style.color);
  const lines = [
    ...headline(known, style, paint),
    ...placeLines(known),
    ...detailLines(known, style),
    ...innerErrors(error),
    ...bugLines(known, style, paint),
    ...hintLines(known, style, paint),
  ];
  return `${lines.join('\n')}\n`;
};

const headline = (error: HyprError, style: ErrorStyle, paint: Paint): string[] => {
  const [first = '', ...rest] = sanitiseText(error.message).split('\n');
  const mark = style.unicode ? '✗ ' : 'x ';
  const lines = style.folds === true ? foldWords(first, { columns: style.columns, first: mark, indent: 2 }) : [mark + first];
  const last = lines.at(-1) ?? '';
  const room = Math.min(style.columns, 100) - last.length - error.code.length;
  const code = paint('dim', error.code);
  const painted = lines.map((line) => paint('red', line));
  const head =
    style.folds === true && room < 2
      ? [...painted, `  ${code}`]
      : [...painted.slice(0, -1), `${painted.at(-1)}${' '.repeat(Math.max(2, room))}${code}`];
  return [...head, ...rest.map((line) => `  ${line}`)];
};

const detailLines = ({ details }: HyprError, { folds, columns }: ErrorStyle): string[] =>
  details
    .flatMap((detail) => sanitiseText(detail).split('\n'))
    .map((line) => `  ${line}`)
    .flatMap((line) => (folds === true && line.length > columns ? foldIndented(line, columns) : [line]));

const hintLines = ({ hint }: HyprError, style: ErrorStyle, paint: Paint): string[] => {
  if (!hint) {
    return [];
  }
  const [first = '', ...rest] = sanitiseText(hint)
    .split('\n')
    .flatMap((line) => (style.folds === true ? foldWords(line, { columns: style.columns - 7, first: '', indent: 0 }) : [line]));
  return [`  ${paint('green', 'fix:')} ${first}`, ...rest.map((line) => `       ${line}`)];
};

/** The place, unless the message or the details show it already. */
const placeLines = (error: HyprError): string[] => {
  if (error.where === undefined) {
    return [];
  }
  const place = sanitiseName(formatPlace(error.where));
  return [error.message, ...error.details].some((text) => text.includes(place)) ? [] : [`  at ${place}`];
};

/** Several things failed together: each with its own message. */
const innerErrors = (error: unknown): string[] => {
  const cause = error instanceof Error ? error.cause : undefined;
  const inner = [error, cause].find((candidate): candidate is AggregateError => candidate instanceof AggregateError);
  return (inner?.errors ?? []).slice(0, 20).map((each) => `  - ${sanitiseName(toHyprError(each).message)}`);
};

const bugLines = (error: HyprError, style: ErrorStyle, paint: Paint): string[] => {
  if (error.isUserError && !style.verbose) {
    return [];
  }
  const stack = mapFrames((error.cause instanceof Error ? error.cause.stack : error.stack) ?? '');
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line));
  const note = error.isUserError
    ? []
    : ['  this is a mistake of hypr, not yours; please report it with these lines and the output of: hypr doctor'];
  return [...frames.slice(0, 12).map((line) => paint('dim', `  ${sanitiseName(line)}`)), ...note];
};

// Interrupts end with 130 as docker compose's do; everything else is 1.
export const exitCodeOf = (error: unknown): number => {
  const { code, reason } = toHyprError(error);
  return code === ('HYPR_CANCELLED' satisfies ErrorCode) ? 130 : ((reason === undefined ? undefined : UNSTARTED[reason]) ?? 1);
};

/** A program in a machine that could not be started, as a shell has it. */
const UNSTARTED: Readonly<Record<string, number>> = { programNotFound: 127, programNotStarted: 126 };

/** Each of what `throwFailures` threw together. */
export const failuresOf = (error: HyprError): readonly unknown[] => (error.cause instanceof AggregateError ? error.cause.errors : [error]);

/** Throws what failed, if anything did: one error as it is, several under `message` with the code of the first. */
export const throwFailures = (failures: readonly unknown[], message: string): void => {
  const [first] = failures;
  if (failures.length > 1) {
    const cause = new AggregateError(failures);
    throw new HyprError(first instanceof HyprError ? first.code : 'HYPR_INTERNAL', message, { cause });
  }
  if (failures.length === 1) {
    throw first;
  }
};
