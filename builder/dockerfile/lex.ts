import { DirectiveReader } from './directives.ts';
import { SyntaxFault, syntaxError } from './errors.ts';
import { chompTabs } from './heredoc.ts';
import type { Directives, Heredoc, RawInstruction } from './instruction.ts';
import { heredocsOfLine, parseLine } from './parse-line.ts';

export interface LexedFile {
  readonly instructions: readonly RawInstruction[];
  readonly directives: Directives;
  readonly warnings: ReadonlyArray<{ readonly message: string; readonly line: number }>;
}

/** The size of BuildKit's line scanner, which refuses longer lines. */
const MAX_LINE = 65_535;
const MAX_FILE = 16 * 1024 * 1024;

/**
 * Splits a Dockerfile into logical lines: handles directives, comments, continuation lines and heredocs, and splits
 * each line into keyword, flags and arguments. Throws DOCKERFILE_SYNTAX with the position.
 */
export const lexDockerfile = (text: string, file: string): LexedFile => {
  if (text.length > MAX_FILE) {
    throw syntaxError(`the file is larger than ${MAX_FILE} bytes`, { file, line: 1 });
  }
  const lexer = new Lexer(text);
  try {
    const instructions = lexer.run();
    if (instructions.length === 0) {
      throw new SyntaxFault('file with no instructions');
    }
    return { instructions, directives: lexer.directives.directives, warnings: lexer.warnings };
  } catch (error) {
    if (error instanceof SyntaxFault) {
      throw syntaxError(error.message, { file, line: Math.max(1, lexer.faultLine) });
    }
    throw error;
  }
};

class Lexer {
  readonly directives = new DirectiveReader();
  readonly warnings: Array<{ message: string; line: number }> = [];
  /** Line of the logical line being read, for errors. */
  faultLine = 1;
  readonly #lines: readonly string[];
  #next = 0;
  #comments: string[] = [];

  constructor(text: string) {
    const lines = text.replace(/^\ufeff/, '').split('\n');
    this.#lines = lines.at(-1) === '' ? lines.slice(0, -1) : lines;
  }

  run(): RawInstruction[] {
    const instructions: RawInstruction[] = [];
    for (let line = this.#read(); line !== undefined; line = this.#read()) {
      this.faultLine = this.#next;
      const first = line.trimStart();
      this.directives.readLine(first);
      if (first.startsWith('#')) {
        this.#comments.push(first.slice(1).trim());
      } else if (first === '') {
        this.#comments = [];
      } else {
        const instruction = this.#readInstruction(first);
        if (instruction !== undefined) {
          instructions.push(instruction);
        }
        this.#comments = [];
      }
    }
    return instructions;
  }

  /** The next physical line without its line end. */
  #read(): string | undefined {
    const line = this.#lines[this.#next];
    if (line === undefined) {
      return undefined;
    }
    this.#next++;
    if (line.length > MAX_LINE / 4 && Buffer.byteLength(line) > MAX_LINE) {
      this.faultLine = this.#next;
      throw new SyntaxFault(`dockerfile line greater than max allowed size of ${MAX_LINE}`);
    }
    return line.endsWith('\r') ? line.slice(0, -1) : line;
  }

  #readInstruction(first: string): RawInstruction | undefined {
    const start = this.#next;
    const line = this.#joinContinuation(first);
    if (line.trim() === '') {
      return undefined;
    }
    const context = { escape: this.directives.escape, range: { line: start, endLine: this.#next }, comments: this.#comments };
    const instruction = parseLine(line, context);
    const heads = heredocsOfLine(line, instruction);
    const heredocs = heads.map((head): Heredoc => ({ ...head, ...this.#readBody(head) }));
    return { ...instruction, heredocs, range: { line: start, endLine: this.#next } };
  }

  #joinContinuation(first: string): string {
    const char = this.directives.escape === '`' ? '`' : '\\\\';
    const continues = new RegExp(`([^${char}])${char}[ \\t]*$|^${char}[ \\t]*$`, 'u');
    const parts: string[] = [];
    let empty = false;
    for (let line: string | undefined = first; line !== undefined; line = this.#read()) {
      const isFirst = parts.length === 0;
      if (!isFirst && (line.trimStart().startsWith('#') || line.trim() === '')) {
        empty ||= line.trim() === '';
        continue;
      }
      const joined = line.replace(continues, '$1');
      parts.push(joined);
      if (joined === line) {
        break;
      }
    }
    if (empty) {
      this.warnings.push({ message: 'NoEmptyContinuation: Empty continuation line', line: this.#next });
    }
    return parts.join('');
  }

  #readBody(head: { name: string; chomp: boolean }): Pick<Heredoc, 'content' | 'written'> {
    let written = '';
    for (let line = this.#read(); line !== undefined; line = this.#read()) {
      if ((head.chomp ? line.replace(/^\t+/, '') : line) === head.name) {
        return { content: head.chomp ? chompTabs(written) : written, written };
      }
      written += `${line}\n`;
    }
    throw new SyntaxFault('unterminated heredoc');
  }
}
