import { createInterface as createLineReader } from 'node:readline';
import { createInterface } from 'node:readline/promises';
import { onAbort } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import { sanitiseText } from '../../base/sanitise.ts';
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

/** Answers to the questions of one command, from a terminal or, as docker compose takes them, from lines of a pipe. */
export interface Answers {
  /** Yes, no, or `otherwise` for an empty line and for the end of the input. The question goes to stdout, as docker's do. */
  ask(question: string, otherwise: boolean): Promise<boolean>;
  close(): void;
}

/** One reader for all questions: a second one would miss what the first had read already. `close` it on every path. */
export const openAnswers = ({ stdin, stdout, interrupts }: Pick<CliContext, 'stdin' | 'stdout' | 'interrupts'>): Answers => {
  let lines: AsyncIterator<string> | undefined;
  let close = () => {};
  const next = (): Promise<IteratorResult<string>> => {
    if (lines === undefined) {
      const reader = createLineReader({ input: stdin, signal: interrupts.signal });
      close = () => reader.close();
      lines = reader[Symbol.asyncIterator]();
    }
    return lines.next();
  };
  return {
    ask: async (question, otherwise) => {
      stdout.write(`${sanitiseText(question)} [${otherwise ? 'Y/n' : 'y/N'}] `);
      const line = await next();
      interrupts.signal.throwIfAborted();
      const text = line.done === true ? '' : line.value.trim();
      if (stdin.isTTY !== true) {
        stdout.write('\n');
      }
      return text === '' ? otherwise : /^y(es)?$/i.test(text);
    },
    close: () => close(),
  };
};
