import { createInterface } from 'node:readline/promises';
import { onAbort } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import type { CliContext } from './context.ts';

/** One line from the terminal, without the blanks round it. */
export const askLine = async (context: CliContext, question: string): Promise<string> => {
  const reader = createInterface({ input: context.stdin, output: context.stderr });
  try {
    return (await reader.question(question, { signal: context.interrupts.signal })).trim();
  } finally {
    reader.close();
  }
};

/** One line from the terminal that is not shown. Ctrl-C and Ctrl-D throw HYPR_CANCELLED. */
export const askSecret = async (context: CliContext, question: string): Promise<string> => {
  const { stdin, stderr, terminal, interrupts } = context;
  stderr.write(question);
  const leave = terminal.enter({ enter: () => stdin.setRawMode?.(true), leave: () => stdin.setRawMode?.(false) });
  try {
    return await readHidden(stdin, interrupts.signal);
  } finally {
    leave();
    stdin.pause();
    stderr.write('\n');
  }
};

const MAX_SECRET = 64 * 1024;
const KEYS = { interrupt: '\x03', end: '\x04', erase: '\x7f', backspace: '\b', kill: '\x15' } as const;

const readHidden = (stdin: CliContext['stdin'], signal: AbortSignal): Promise<string> =>
  new Promise((resolve, reject) => {
    let line: string[] = [];
    let leave = () => {};
    const settle = (finish: () => void) => {
      stdin.off('data', read);
      stdin.off('end', ended);
      leave();
      finish();
    };
    const cancel = () => settle(() => reject(new HyprError('HYPR_CANCELLED', 'interrupted')));
    const ended = () => settle(() => resolve(line.join('')));
    const read = (chunk: Buffer | string) => {
      for (const key of chunk.toString()) {
        if (key === '\r' || key === '\n') {
          ended();
          return;
        }
        if (key === KEYS.interrupt || key === KEYS.end) {
          cancel();
          return;
        }
        line = edit(line, key);
      }
    };
    stdin.on('data', read).on('end', ended);
    stdin.resume();
    leave = onAbort(signal, () => settle(() => reject(signal.reason)));
  });

const edit = (line: readonly string[], key: string): string[] => {
  if (key === KEYS.kill) {
    return [];
  }
  return key === KEYS.erase || key === KEYS.backspace ? line.slice(0, -1) : [...line, key].slice(0, MAX_SECRET);
};
