import { HyprError } from '../../base/errors.ts';

/** A fault in the text of a Dockerfile, before the file's name is known. */
export class SyntaxFault extends Error {
  override readonly name = 'SyntaxFault';
}

/** DOCKERFILE_SYNTAX with BuildKit's message, file and line. */
export const syntaxError = (message: string, where: { file: string; line: number }, cause?: unknown): HyprError =>
  new HyprError('DOCKERFILE_SYNTAX', `dockerfile parse error on line ${where.line}: ${message}`, {
    where,
    ...(cause === undefined ? {} : { cause }),
  });
