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
  const render = format === undefined || format === '' || format === 'json' ? undefined : compileTemplate(format);
  const found: unknown[] = [];
  let failure: { error: unknown } | undefined;
  for (const name of args) {
    try {
      found.push(await find(name));
    } catch (error) {
      failure ??= { error };
    }
  }
  context.stdout.write(
    render === undefined ? `${JSON.stringify(found, null, 4)}\n` : found.map((object) => `${render(object)}\n`).join(''),
  );
  if (failure !== undefined) {
    throw failure.error;
  }
  return 0;
};
