import { createInterface } from 'node:readline/promises';
import { HyprError } from '../../base/errors.ts';
import type { CliContext } from './context.ts';

/** Asks on a terminal. Without one nobody can answer, which is an error and not a yes. `force` is the command that does not ask. */
export const confirm = async (context: CliContext, question: string, force: string): Promise<boolean> => {
  if (context.stdin.isTTY !== true) {
    throw new HyprError('HYPR_USAGE', 'this asks before it goes on, and standard input is not a terminal', {
      hint: `say yes with: ${force}`,
    });
  }
  const reader = createInterface({ input: context.stdin, output: context.stderr });
  try {
    return /^y(es)?$/i.test((await reader.question(question, { signal: context.interrupts.signal })).trim());
  } finally {
    reader.close();
  }
};
