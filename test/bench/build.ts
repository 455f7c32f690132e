import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface BuildBench {
  readonly hypr: string;
  /** With a home that is set up and a registry that has busybox. */
  readonly env: NodeJS.ProcessEnv;
  /** Runs a program to its end; seconds. */
  readonly time: (file: string, args: readonly string[], env: NodeJS.ProcessEnv) => Promise<number>;
  readonly report: (name: string, unit: string, values: readonly number[]) => void;
}

interface Row {
  readonly name: string;
  readonly runs: number;
  readonly dockerfile: string;
  readonly noCache?: boolean;
  /** Before each build, the number of which it is given. */
  readonly change?: (context: string, run: number) => Promise<void>;
}

const STEPS = 10;
const STAGES = 12;
const FILES = 10_000;

const count = (length: number, line: (index: number) => string): string => Array.from({ length }, (_, index) => line(index)).join('\n');
const TEN_RUN = `FROM busybox\n${count(STEPS, (index) => `RUN echo ${index} > /f${index}`)}\n`;
const CACHE = '--mount=type=cache,target=/c --mount=target=/ctx,source=Dockerfile';
const COPY_ALL = 'FROM busybox\nCOPY files /files\n';

/** What a build costs beside the commands of its steps. Those with a RUN start machines, which are emulated where there is no KVM. */
const ROWS: readonly Row[] = [
  { name: 'build-ten-run', runs: 3, dockerfile: TEN_RUN, noCache: true },
  { name: 'build-ten-run-cached', runs: 5, dockerfile: TEN_RUN },
  {
    name: 'build-ten-run-with-mounts',
    runs: 3,
    dockerfile: `FROM busybox\n${count(STEPS, (index) => `RUN ${CACHE} echo ${index} >> /c/f`)}\n`,
    noCache: true,
  },
  {
    name: 'build-twelve-stages',
    runs: 2,
    dockerfile: `${count(STAGES, (index) => `FROM busybox AS s${index}\nRUN echo ${index} > /f`)}\nFROM scratch\n${count(STAGES, (index) => `COPY --from=s${index} /f /f${index}`)}\n`,
    noCache: true,
  },
  {
    name: 'build-thirty-copies',
    runs: 3,
    dockerfile: `FROM busybox\n${count(30, (index) => `COPY files/${index} /f${index}`)}\n`,
    noCache: true,
  },
  {
    name: 'build-twelve-stages-of-copies',
    runs: 3,
    dockerfile: `${count(STAGES, (index) => `FROM busybox AS s${index}\nCOPY files/${index} /f`)}\nFROM scratch\n${count(STAGES, (index) => `COPY --from=s${index} /f /f${index}`)}\n`,
    noCache: true,
  },
  { name: 'build-ten-thousand-files-no-cache', runs: 3, dockerfile: COPY_ALL, noCache: true },
  { name: 'build-ten-thousand-files', runs: 3, dockerfile: COPY_ALL },
  {
    name: 'build-ten-thousand-files-one-changed',
    runs: 3,
    dockerfile: COPY_ALL,
    change: (context, run) => writeFile(join(context, 'files', '0', '0'), `changed ${run} ${Date.now()}\n`),
  },
];

/**
 * Builds of each kind, after one to warm up. With HYPR_BENCH_DOCKER, a docker program, its builds in turns with ours, and how many
 * times as long ours take (`…-ratio`).
 */
export const benchBuild = async (bench: BuildBench): Promise<void> => {
  const context = await mkdtemp(join(tmpdir(), 'hypr-bench-'));
  try {
    await writeFiles(context);
    const docker = process.env.HYPR_BENCH_DOCKER ?? '';
    const programs = docker === '' ? [bench.hypr] : [bench.hypr, docker];
    await giveBase(bench, programs.slice(1), context);
    for (const row of ROWS) {
      const [ours = [], theirs] = await measure(bench, row, { context, programs });
      bench.report(row.name, 's', ours);
      if (theirs !== undefined) {
        bench.report(`${row.name}-docker`, 's', theirs);
        bench.report(
          `${row.name}-ratio`,
          'times',
          ours.map((seconds, index) => seconds / (theirs[index] ?? 1)),
        );
      }
    }
  } finally {
    await rm(context, { recursive: true, force: true });
  }
};

/** Seconds of each run, by program. */
const measure = async (
  { env, time }: BuildBench,
  { dockerfile, noCache, change, runs }: Row,
  { context, programs }: { context: string; programs: readonly string[] },
): Promise<number[][]> => {
  await writeFile(join(context, 'Dockerfile'), dockerfile);
  const seconds: number[][] = programs.map(() => []);
  for (let run = 0; run <= runs; run++) {
    await change?.(context, run);
    const turns = [...programs.entries()];
    for (const [index, program] of run % 2 === 0 ? turns : turns.reverse()) {
      const taken = await time(program, ['build', '-q', ...(noCache ? ['--no-cache'] : []), context], env);
      if (run > 0) {
        seconds[index]?.push(taken);
      }
    }
  }
  return seconds;
};

const writeFiles = async (context: string): Promise<void> => {
  for (let index = 0; index < FILES; index++) {
    const folder = join(context, 'files', String(index % 100));
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, String(index)), `file ${index}\n`);
  }
};

/** Docker gets the base image from our store. */
const giveBase = async ({ hypr, env, time }: BuildBench, others: readonly string[], folder: string): Promise<void> => {
  const archive = join(folder, '..', `hypr-bench-base-${process.pid}.tar`);
  try {
    await time(hypr, ['pull', '-q', 'busybox'], env);
    for (const other of others) {
      await time(hypr, ['save', '-o', archive, 'busybox'], env);
      await time(other, ['load', '-q', '-i', archive], env);
    }
  } finally {
    await rm(archive, { force: true });
  }
};
