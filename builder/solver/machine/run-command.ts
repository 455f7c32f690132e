import type { FileSpec } from '../../../guest/types.ts';
import { parseHeredocWord } from '../../dockerfile/heredoc.ts';
import type { RunInstruction } from '../../dockerfile/instruction.ts';
import { shellOf } from '../frame/metadata.ts';
import type { StageState } from '../frame/state.ts';

export interface RunCommand {
  readonly args: readonly string[];
  /** A heredoc that starts with `#!` is a program of its own. */
  readonly script?: FileSpec;
  /** What the step's title adds for a heredoc. */
  readonly summary?: string;
}

/** Where BuildKit puts such a program; a place in no layer. */
const SCRIPT_FOLDER = '/dev/pipes';

/** The command line of a RUN: exec form, SHELL form, or a heredoc in one of its three ways. */
export const commandOfRun = (instruction: RunInstruction, state: StageState): RunCommand => {
  const { command, heredocs } = instruction;
  const shell = shellOf(state.config);
  const line = command.args.join(' ');
  const [first] = heredocs;
  if (command.form === 'exec' || first === undefined) {
    return { args: command.form === 'exec' ? command.args : [...shell, line] };
  }
  if (parseHeredocWord(line) === undefined) {
    // Anything beside the heredocs: the shell gets the lines as they were written.
    const body = heredocs.map(({ written, name }) => `\n${written}${name}`).join('');
    return { args: [...shell, line + body] };
  }
  const summary = summarize(first.content);
  if (!first.content.startsWith('#!')) {
    return { args: [...shell, first.content], summary };
  }
  const path = `${SCRIPT_FOLDER}/${first.name.replaceAll('/', '_')}`;
  const script = { path, content: Buffer.from(first.content), mode: 0o755, uid: 0, gid: 0 };
  return { args: [...shell, path], script, summary };
};

const summarize = (content: string): string => {
  const lines = content.trim().split('\n');
  return `(${lines[0] ?? ''}${lines.length > 1 ? '...' : ''})`;
};
