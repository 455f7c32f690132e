import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CLEAN_UP, readDay, type Step } from './day.ts';
import { DECLARED } from './declared.ts';
import { compareOutcomes, type Engine, type Outcome, runLine } from './run-step.ts';

const USAGE = `usage: npm run compare:docker -- [--section NAME] [--only TEXT] [--program FILE] [--verbose]

Runs a day of docker's commands with the real docker (docker in PATH, or HYPR_COMPARE_DOCKER; DOCKER_HOST says which engine)
and with hypr, in turns, and prints where exit codes, output or the kind of error differ. busybox must be in both stores.
--section  run, create, running, images, objects, host: only these lines
--only     only lines with this text, with what they need before them
--program  another program than bin/hypr, such as a docker whose DOCKER_HOST is hypr serve
--verbose  also what both said
`;

/** The entry point; gives the exit code: 0 all the same or declared, 1 differences, 2 nothing could be compared. */
export const main = async (argv: readonly string[], hypr: string): Promise<number> => {
  const option = (name: string): string | undefined => (argv.includes(name) ? argv[argv.indexOf(name) + 1] : undefined);
  if (argv.includes('--help')) {
    process.stderr.write(USAGE);
    return 2;
  }
  const scratch = await realpath(await mkdtemp(join(tmpdir(), 'hypr-compare-docker-')));
  const engines = [
    { name: 'docker', program: process.env.HYPR_COMPARE_DOCKER ?? 'docker', cwd: join(scratch, 'a', 'day') },
    { name: 'hypr', program: option('--program') ?? hypr, cwd: join(scratch, 'b', 'day') },
  ] as const satisfies readonly Engine[];
  try {
    await Promise.all(engines.map(({ cwd }) => mkdir(cwd, { recursive: true })));
    for (const engine of engines) {
      if ((await runLine(engine, 'docker image inspect busybox')).code !== 0) {
        process.stderr.write(`${engine.program} does not answer, or has no busybox\n${USAGE}`);
        return 2;
      }
    }
    await cleanUp(engines);
    const steps = readDay().filter(({ section, line }) => isWanted(option('--section'), section) && line.includes(option('--only') ?? ''));
    return await runDay(engines, steps, argv.includes('--verbose'));
  } finally {
    await cleanUp(engines);
    await rm(scratch, { recursive: true, force: true });
  }
};

const isWanted = (wanted: string | undefined, section: string): boolean => wanted === undefined || wanted.split(',').includes(section);

const cleanUp = async (engines: readonly Engine[]): Promise<void> => {
  for (const engine of engines) {
    for (const line of CLEAN_UP) {
      await runLine(engine, line);
    }
  }
};

const runDay = async (engines: readonly [Engine, Engine], steps: readonly Step[], verbose: boolean): Promise<number> => {
  const [docker, hypr] = engines;
  const counts = { same: 0, declared: 0, different: 0 };
  for (const step of steps) {
    const outcomes = [await runLine(docker, step.line), await runLine(hypr, step.line)] as const;
    const differences = compareOutcomes(step, ...outcomes, { docker: docker.cwd, hypr: hypr.cwd });
    const reason = DECLARED[step.line];
    const kind = differences.length === 0 ? 'same' : reason === undefined ? 'different' : 'declared';
    counts[kind] += 1;
    if (kind !== 'same' || reason !== undefined || verbose) {
      process.stdout.write(`${kind === 'same' && reason !== undefined ? 'no longer different' : kind}  ${step.line}\n`);
      process.stdout.write([...(reason === undefined ? [] : [reason]), ...differences].map((line) => `    ${line}\n`).join(''));
      process.stdout.write(verbose || kind === 'different' ? said(outcomes) : '');
    }
  }
  process.stdout.write(`${steps.length} commands: ${counts.same} same, ${counts.declared} declared, ${counts.different} different\n`);
  return counts.different > 0 ? 1 : 0;
};

/** The ends of what both wrote to standard error. */
const said = (outcomes: readonly [Outcome, Outcome]): string =>
  outcomes
    .map(({ stderr }, index) => [index === 0 ? 'docker' : 'hypr', stderr.trim().split('\n').slice(0, 3).join(' / ').slice(0, 300)])
    .filter(([, text]) => text !== '')
    .map(([name, text]) => `      ${name} said: ${text}\n`)
    .join('');
