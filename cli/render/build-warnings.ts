import { sanitiseText } from '../../base/sanitise.ts';
import type { BuildCheck, BuildEvent } from '../../engine/model/types.ts';
import type { CliContext } from '../core/context.ts';
import type { Flags } from '../core/flags.ts';
import { foldFor } from '../core/output.ts';

const CONTEXT_LINES = 2;

/** `--progress rawjson` prints events as they are, warnings among them. */
export const isRaw = (flags: Flags): boolean => /^(raw)?json$/.test(flags.string('progress') ?? '');

/** The warnings of a build, kept until its end and printed once, as BuildKit does. */
export class BuildWarnings {
  readonly #context: Pick<CliContext, 'stderr'>;
  /** True: nothing is printed; undefined: the events themselves are printed. */
  readonly #quiet: boolean | undefined;
  readonly #lines: string[] = [];

  constructor(context: Pick<CliContext, 'stderr'>, quiet: boolean | undefined) {
    this.#context = context;
    this.#quiet = quiet;
  }

  /** Returns whether the event was a warning. */
  take(service: string, event: BuildEvent): boolean {
    if (event.type !== 'warning' || this.#quiet === undefined) {
      return false;
    }
    const place = event.line === undefined ? '' : ` (line ${event.line})`;
    this.#lines.push(` - ${service === '' ? '' : `[${service}] `}${sanitiseText(event.message)}${place}\n`);
    return true;
  }

  print(): void {
    const count = this.#lines.length;
    if (count > 0 && this.#quiet === false) {
      const { stderr } = this.#context;
      stderr.write(foldFor(stderr, `\n ${count} warning${count === 1 ? '' : 's'} found:\n${this.#lines.join('')}`));
    }
  }
}

/** The output of `--check` for a Dockerfile: each finding with the lines around it; exit code 1 if there are any. */
export const printCheck = ({ stdout }: Pick<CliContext, 'stdout'>, { name, text, findings }: BuildCheck): number => {
  const count = findings.length;
  if (count === 0) {
    stdout.write('Check complete, no warnings found.\n');
    return 0;
  }
  stdout.write(`Check complete, ${count === 1 ? '1 warning has' : `${count} warnings have`} been found!\n`);
  const lines = text.replace(/\r?\n$/, '').split(/\r?\n/);
  for (const { rule, message, line } of findings) {
    stdout.write(
      `\nWARNING: ${rule} - ${documentation(rule)}\n${sanitiseText(message)}\n${sanitiseText(name)}:${line}\n${excerpt(lines, line)}`,
    );
  }
  return 1;
};

/** JSONArgsRecommended → json-args-recommended. */
export const documentation = (rule: string): string => {
  const words = rule.replace(/([a-z])([A-Z])/g, '$1-$2').replace(/([A-Z]+)([A-Z][a-z])/g, '$1-$2');
  return `https://docs.docker.com/go/dockerfile/rule/${words.toLowerCase()}/`;
};

const RULER = `${'-'.repeat(20)}\n`;

const excerpt = (lines: readonly string[], line: number): string => {
  const first = Math.max(1, line - CONTEXT_LINES);
  const shown = lines.slice(first - 1, line + CONTEXT_LINES).map((text, index) => {
    const number = first + index;
    return `${String(number).padStart(4)} | ${number === line ? '>>>' : '   '} ${sanitiseText(text)}\n`;
  });
  return `${RULER}${shown.join('')}${RULER}`;
};
