import { mkdir, mkdtemp, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { type Case, compareCase, diffLines, type Verdict } from './compare.ts';
import { generateProject, mergeProject } from './generate.ts';
import { findReference } from './reference.ts';

const USAGE = `usage: npm run compare:compose -- FILE… [CONFIG-FLAGS…]
       npm run compare:compose -- -f FILE -f FILE… [CONFIG-FLAGS…]
       npm run compare:compose -- --generate N [--seed S] [--from I] [--keep FOLDER]
       npm run compare:compose -- --merges [--keep FOLDER]

Runs docker compose and hypr's loader on the same files and prints where their output differs.
The binary is HYPR_COMPARE_COMPOSE, or docker-compose in PATH or docker's plugin folders.
`;

/** The ways every file is asked for when no flags are given. */
const EVERY_WAY = [[], ['--format', 'json'], ['--no-interpolate'], ['--profile=*'], ['--variables'], ['--hash', '*']];
/** Sides by side: the comparison waits for the other program most of the time. */
const LANES = 3;
const MANY = '1000000';

/** The entry point; gives the exit code: 0 all explained, 1 differences, 2 nothing could be compared. */
export const main = async (argv: readonly string[]): Promise<number> => {
  const binary = await findReference(process.env);
  if (argv.length === 0 || argv.includes('--help') || binary === undefined) {
    process.stderr.write(binary === undefined ? 'no docker-compose to compare with: set HYPR_COMPARE_COMPOSE\n' : USAGE);
    return 2;
  }
  const option = (name: string): string | undefined => (argv.includes(name) ? argv[argv.indexOf(name) + 1] : undefined);
  const generate = option('--generate') ?? (argv.includes('--merges') ? MANY : undefined);
  return generate === undefined
    ? compareFiles(binary, argv)
    : compareGenerated(binary, {
        count: Number(generate),
        seed: Number(option('--seed') ?? 1),
        from: Number(option('--from') ?? 0),
        keep: option('--keep'),
        isMerges: argv.includes('--merges'),
      });
};

const compareFiles = async (binary: string, argv: readonly string[]): Promise<number> => {
  const files: string[] = [];
  while (argv[files.length] !== undefined && !argv[files.length]?.startsWith('-')) {
    files.push(argv[files.length] ?? '');
  }
  const flags = argv.slice(files.length);
  const tally = new Tally();
  const cases: Case[] = [];
  for (const file of files) {
    const isFolder = (await stat(file)).isDirectory();
    const cwd = resolve(isFolder ? file : dirname(file));
    const from = isFolder ? [] : ['-f', basename(file)];
    for (const way of flags.length > 0 ? [flags] : EVERY_WAY) {
      cases.push({ cwd, args: orderArgs([...from, ...way]), env: {}, input: isFolder ? '' : await readFile(file, 'utf8') });
    }
  }
  if (files.length === 0) {
    cases.push({ cwd: process.cwd(), args: orderArgs(flags), env: {}, input: '' });
  }
  for (const one of cases) {
    tally.add(one, await compareCase(binary, one), true);
  }
  return tally.finish();
};

/** Flags of compose itself stand before the word `config`, those of config after it. */
const orderArgs = (args: readonly string[]): string[] => {
  const before: string[] = [];
  const after: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    const isRoot = /^(--compatibility$|-f|--file|-p|--project-name|--profile|--env-file|--project-directory)(=|$)/.test(arg);
    (isRoot ? before : after).push(arg);
    if (isRoot && !arg.includes('=') && arg !== '--compatibility') {
      i += 1;
      before.push(args[i] ?? '');
    }
  }
  return [...before, 'config', ...after];
};

interface GenerateOptions {
  readonly count: number;
  readonly seed: number;
  readonly from: number;
  /** Where projects that differ are left; default: nowhere. */
  readonly keep: string | undefined;
  /** Not at random: every pair of values of every attribute. */
  readonly isMerges: boolean;
}

const compareGenerated = async (binary: string, options: GenerateOptions): Promise<number> => {
  const scratch = await realpath(await mkdtemp(join(tmpdir(), 'hypr-compare-')));
  const tally = new Tally();
  let next = options.from;
  const lane = async (): Promise<void> => {
    while (next < options.from + options.count) {
      const index = next;
      next += 1;
      if (!(await compareOne(binary, { ...options, index, scratch, tally }))) {
        return;
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: LANES }, lane));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return tally.finish();
};

const compareOne = async (
  binary: string,
  options: GenerateOptions & { index: number; scratch: string; tally: Tally },
): Promise<boolean> => {
  const { seed, index, scratch, keep, tally } = options;
  const project = options.isMerges ? mergeProject(index) : generateProject(seed, index);
  if (project === undefined) {
    return false;
  }
  const write = async (cwd: string): Promise<void> => {
    for (const [path, text] of Object.entries(project.files)) {
      await mkdir(dirname(join(cwd, path)), { recursive: true });
      await writeFile(join(cwd, path), text);
    }
  };
  const cwd = join(scratch, `p${index}`);
  await write(cwd);
  const input = Object.values(project.files).join('\n');
  for (const args of project.args) {
    const one: Case = { cwd, args, env: project.env, input };
    const verdict = await compareCase(binary, one);
    tally.add(one, verdict, verdict.kind === 'different');
    if (verdict.kind === 'different' && keep !== undefined) {
      await write(join(resolve(keep), `s${seed}-p${index}`));
    }
  }
  await rm(cwd, { recursive: true, force: true });
  return true;
};

/** Counts verdicts and prints those worth reading. */
class Tally {
  readonly #counts = new Map<string, number>();

  add(one: Case, verdict: Verdict, print: boolean): void {
    const name = verdict.kind === 'declared' ? `declared: ${verdict.id}` : verdict.kind;
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    if (!print) {
      return;
    }
    process.stdout.write(`${name}  ${basename(one.cwd)}: ${one.args.join(' ')}\n`);
    if (verdict.kind !== 'different') {
      return;
    }
    const { ours, theirs } = verdict;
    const refusal = (who: string, stderr: string) => [`    ${who} refuses: ${stderr.trim().split('\n').at(-1)?.slice(0, 300)}`];
    const lines =
      ours.code !== 0
        ? refusal('hypr', ours.stderr)
        : theirs.code !== 0
          ? refusal('docker compose', theirs.stderr)
          : diffLines(theirs.stdout, ours.stdout).map((line) => `    ${line}`);
    process.stdout.write(`${lines.join('\n')}\n`);
  }

  finish(): number {
    const total = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    process.stdout.write(`${total} comparisons\n`);
    for (const [name, count] of [...this.#counts].sort()) {
      process.stdout.write(`${String(count).padStart(7)}  ${name}\n`);
    }
    return this.#counts.has('different') ? 1 : 0;
  }
}
