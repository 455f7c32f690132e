import type { Invocation } from '../core/command-spec.ts';
import { compileTemplate } from '../format/go-template.ts';

/**
 * Prints what `inspect` found as docker does: one JSON array, or a line of the template for each. What is not found is said
 * when the others have been printed. Gives the exit code.
 */
export const printObjects = async (
  { context, args, flags }: Pick<Invocation, 'context' | 'args' | 'flags'>,
  find: (name: string) => unknown,
): Promise<number> => {
  const format = flags.string('format');
  const print = printer(format);
  const found: unknown[] = [];
  let failure: { error: unknown } | undefined;
  for (const name of args) {
    try {
      found.push(print.each(await find(name)));
    } catch (error) {
      failure ??= { error };
    }
  }
  context.stdout.write(print.all(found));
  if (failure !== undefined) {
    throw failure.error;
  }
  return 0;
};

/** What is printed of each object, and of all of them. */
const printer = (format: string | undefined): { each(object: unknown): unknown; all(found: readonly unknown[]): string } => {
  if (format === undefined || format === '' || format === 'json') {
    return { each: (object) => object, all: (found) => `${JSON.stringify(found, null, format === 'json' ? 0 : 4)}\n` };
  }
  // A template that fits none of them leaves an empty line, which scripts of docker's expect.
  return { each: compileTemplate(format), all: (found) => (found.length === 0 ? '\n' : found.map((line) => `${line}\n`).join('')) };
};
