import { HyprError } from '../../../base/errors.ts';
import { runConfig } from '../../../compose/index.ts';
import { parseConfigArgs } from '../config-args.ts';
import { explainDifference } from './divergences.ts';
import { type Answer, runReference } from './reference.ts';

/** One comparison: the words after `docker compose`, and where they are said. */
export interface Case {
  readonly cwd: string;
  readonly args: readonly string[];
  readonly env: Record<string, string>;
  /** The texts of all files, for the allow-list to look at. */
  readonly input: string;
}

export type Verdict =
  | { readonly kind: 'same' | 'both-refuse' }
  /** `id` is a row of docs/compose-divergences.md. */
  | { readonly kind: 'declared'; readonly id: string }
  | { readonly kind: 'unstable' }
  | { readonly kind: 'different'; readonly ours: Answer; readonly theirs: Answer };

const SAME_INPUT_RUNS = 3;

/** Runs both on a case and says how their answers relate. */
export const compareCase = async (binary: string, one: Case): Promise<Verdict> => {
  const env = { HOME: one.cwd, ...one.env };
  const reference = () => runReference(binary, one.args, { cwd: one.cwd, env });
  const [ours, theirs] = await Promise.all([runOurs(one.args, { cwd: one.cwd, env }), reference()]);
  const relation = relate(one, ours, theirs);
  if (relation !== undefined) {
    return relation;
  }
  const id = explainDifference({ ...one, ours, theirs });
  if (id !== undefined) {
    return { kind: 'declared', id };
  }
  // Go's maps have no order: where the reference differs from itself, one of its answers must be ours.
  const others: Answer[] = [];
  for (let run = 0; run < SAME_INPUT_RUNS * 2; run++) {
    others.push(await reference());
  }
  if (others.some((other) => relate(one, ours, other) !== undefined || explainDifference({ ...one, ours, theirs: other }) !== undefined)) {
    return { kind: 'unstable' };
  }
  if (one.args.includes('--variables') && hasItsLines(ours, [theirs, ...others])) {
    return { kind: 'unstable' };
  }
  return { kind: 'different', ours, theirs };
};

/** Where several variables have several defaults each, no answer need have ours of all of them. */
const hasItsLines = (ours: Answer, answers: readonly Answer[]): boolean => {
  const lines = new Set(answers.flatMap(({ stdout }) => stdout.split('\n')));
  return ours.code === 0 && answers.every(({ code }) => code === 0) && ours.stdout.split('\n').every((line) => lines.has(line));
};

const relate = (one: Case, ours: Answer, theirs: Answer): Verdict | undefined => {
  if (ours.code !== 0 && theirs.code !== 0) {
    return { kind: 'both-refuse' };
  }
  const isListing = one.args.some((arg) => LISTINGS.has(arg));
  const shown = ({ stdout }: Answer): string => (isListing ? stdout.split('\n').sort().join('\n') : stdout);
  return ours.code === 0 && theirs.code === 0 && shown(ours) === shown(theirs) ? { kind: 'same' } : undefined;
};

/** The same words to our loader, in this process (a crash is told from a refusal). */
const runOurs = async (args: readonly string[], options: { cwd: string; env: Record<string, string> }): Promise<Answer> => {
  try {
    const { stdout } = await runConfig(parseConfigArgs(args, options));
    return { code: 0, stdout, stderr: '' };
  } catch (error) {
    if (error instanceof HyprError) {
      return { code: 1, stdout: '', stderr: `${error.code}: ${error.message} ${JSON.stringify(error.where ?? {})}` };
    }
    return { code: 0, stdout: `CRASH ${error instanceof Error ? error.stack : String(error)}`, stderr: '' };
  }
};

/** Listings whose order compose does not keep. */
const LISTINGS = new Set(['--services', '--images', '--volumes', '--networks', '--models', '--environment', '--variables', '--profiles']);

/** The first lines that differ, `-` theirs, `+` ours, with a line before. */
export const diffLines = (theirs: string, ours: string, limit = 12): string[] => {
  const a = theirs.split('\n');
  const b = ours.split('\n');
  let start = 0;
  while (start < a.length && a[start] === b[start]) {
    start += 1;
  }
  let tail = 0;
  while (tail < a.length - start && tail < b.length - start && a[a.length - 1 - tail] === b[b.length - 1 - tail]) {
    tail += 1;
  }
  const removed = a.slice(start, a.length - tail).map((line) => `- ${line}`);
  const added = b.slice(start, b.length - tail).map((line) => `+ ${line}`);
  return [...a.slice(Math.max(0, start - 2), start).map((line) => `  ${line}`), ...removed.slice(0, limit), ...added.slice(0, limit)];
};
