import { randomInt } from 'node:crypto';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Builder, type Comparison, compareCase, writeCase } from './compare-case.ts';
import { generateCase } from './generate.ts';
import { oddCases } from './odd-cases.ts';
import { run } from './read-image.ts';

const USAGE = `usage: npm run compare:build -- [--cases N] [--seed S] [--from I] [--runs PERCENT] [--base IMAGE] [--keep FOLDER]
       npm run compare:build -- --odd [--only NAME] [--base IMAGE] [--keep FOLDER]

Builds random Dockerfiles with a docker engine and with hypr, in turns, and prints where the images differ: files with
owners, modes, times, links and attributes, configuration and history. With --odd: a fixed list of features that random ones do not reach. The engine is the one that docker in PATH (or
HYPR_COMPARE_DOCKER) reaches; DOCKER_HOST says which. The base image must be in hypr's store.
`;

/** The entry point; gives the exit code: 0 all explained, 1 differences, 2 nothing could be compared. */
export const main = async (argv: readonly string[], hypr: string): Promise<number> => {
  const option = (name: string): string | undefined => (argv.includes(name) ? argv[argv.indexOf(name) + 1] : undefined);
  const docker = process.env.HYPR_COMPARE_DOCKER ?? 'docker';
  const base = option('--base') ?? 'busybox';
  if (argv.includes('--help') || !(await isReady(docker, hypr, base))) {
    process.stderr.write(USAGE);
    return 2;
  }
  const seed = Number(option('--seed') ?? randomInt(2 ** 31));
  const from = Number(option('--from') ?? 0);
  const count = Number(option('--cases') ?? 20);
  const keep = option('--keep');
  const scratch = await realpath(await mkdtemp(join(tmpdir(), 'hypr-compare-build-')));
  const tally = new Tally(seed);
  try {
    const odd = oddCases(base).filter(({ name }) => name.includes(option('--only') ?? ''));
    const last = argv.includes('--odd') ? odd.length : from + count;
    for (let index = from; index < last; index++) {
      const one = argv.includes('--odd') ? odd[index] : generateCase({ seed, index, base, runs: Number(option('--runs') ?? 20) });
      if (one === undefined) {
        break;
      }
      const builders: Builder[] = [
        { name: 'docker', program: docker },
        { name: 'hypr', program: hypr },
      ];
      const comparison = await compareCase(one, index % 2 === 0 ? builders : builders.reverse(), scratch);
      tally.add(one.name, /^RUN/m.test(one.dockerfile), comparison);
      if (comparison.kind === 'different' && keep !== undefined) {
        await writeCase(join(resolve(keep), one.name), one);
      }
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return tally.finish();
};

/** Whether both answer and have the base image; docker is given hypr's. */
const isReady = async (docker: string, hypr: string, base: string): Promise<boolean> => {
  const scratch = await mkdtemp(join(tmpdir(), 'hypr-compare-base-'));
  try {
    await run(docker, ['version']);
    await run(hypr, ['save', '-o', join(scratch, 'base.tar'), base]);
    await run(docker, ['load', '-q', '-i', join(scratch, 'base.tar')]);
    return true;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return false;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
};

/** Counts, times, and what is worth reading. */
class Tally {
  readonly #seed: number;
  readonly #counts = new Map<string, number>();
  readonly #times = new Map<string, number[]>();

  constructor(seed: number) {
    this.#seed = seed;
    process.stdout.write(`seed ${seed}\n`);
  }

  add(name: string, hasRun: boolean, { kind, differences, declared, outcomes }: Comparison): void {
    for (const label of [kind, ...declared.map((id) => `declared: ${id}`)]) {
      this.#counts.set(label, (this.#counts.get(label) ?? 0) + 1);
    }
    if (kind !== 'both-refuse') {
      const row = hasRun ? 'with RUN' : 'without RUN';
      this.#times.set(row, [...(this.#times.get(row) ?? []), outcomes.hypr.ms / outcomes.docker.ms]);
    }
    if (differences.length > 0 && kind === 'different') {
      process.stdout.write(`${name}\n${differences.map((line) => `    ${line}\n`).join('')}`);
    }
  }

  finish(): number {
    for (const [label, count] of [...this.#counts].sort()) {
      process.stdout.write(`${String(count).padStart(7)}  ${label}\n`);
    }
    for (const [row, ratios] of this.#times) {
      const sorted = ratios.sort((a, b) => a - b);
      const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
      process.stdout.write(`${row}: hypr takes ${median.toFixed(2)} of docker's time (median of ${sorted.length} builds in turns)\n`);
    }
    process.stdout.write(`to repeat: --seed ${this.#seed}\n`);
    return this.#counts.has('different') ? 1 : 0;
  }
}
