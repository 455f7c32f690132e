import { SyntaxFault } from './errors.ts';
import type { Directives } from './instruction.ts';

const DIRECTIVE = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/;
const KNOWN = new Set(['syntax', 'escape', 'check']);

/**
 * Reads parser directives line by line. The first line that is not a known directive ends them, be it
 * a comment, a blank line or an instruction.
 */
export class DirectiveReader {
  readonly #seen = new Map<string, string>();
  #done = false;

  /** Throws SyntaxFault for a repeated directive or a wrong escape character. */
  readLine(line: string): void {
    if (this.#done) {
      return;
    }
    const match = DIRECTIVE.exec(line);
    const key = match?.[1]?.toLowerCase();
    const value = match?.[2];
    if (key === undefined || value === undefined || !KNOWN.has(key)) {
      this.#done = true;
      return;
    }
    if (this.#seen.has(key)) {
      throw new SyntaxFault(`only one ${key} parser directive can be used`);
    }
    if (key === 'escape' && value !== '\\' && value !== '`') {
      throw new SyntaxFault(`invalid escape token '${value}' does not match \` or \\`);
    }
    if (key === 'syntax') {
      checkSyntax(value);
    }
    this.#seen.set(key, value);
  }

  get escape(): '\\' | '`' {
    return this.#seen.get('escape') === '`' ? '`' : '\\';
  }

  get directives(): Directives {
    return { escape: this.escape, syntax: this.#seen.get('syntax'), check: this.#seen.get('check') };
  }
}

/** Front ends are images that BuildKit runs; only docker's own Dockerfile front end is built in. Throws SyntaxFault. */
export const checkSyntax = (value: string): void => {
  const name = value.split(/\s/)[0] ?? '';
  if (!/^(docker\.io\/)?docker\/dockerfile([:@-].*)?$/.test(name) && name !== 'dockerfile.v0') {
    throw new SyntaxFault(`the front end ${name} is not supported: only docker/dockerfile is`);
  }
};
