import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findReference } from '../compose/compare/reference.ts';
import { HOSTILE_PROJECTS } from '../compose/hostile-files.ts';
import { medianOf, type Run, reportRow, runOnce, withRss } from './measure.ts';

const SIZES = [10, 100, 1000, 5000];
const RUNS = 3;
const SIDE_BY_SIDE = 15;
const MOST_SECONDS = 1;
const MOST_RSS = 200;

/** `bench compose`: `config` of files of more and more services, seconds and peak memory of the whole process. */
export const benchCompose = (hypr: string): Promise<void> =>
  withRss(async (cwd, env) => {
    for (const services of SIZES) {
      await writeFile(join(cwd, 'compose.yaml'), makeServices(services));
      const runs: Run[] = [];
      for (let run = 0; run < RUNS; run++) {
        runs.push(await runOnce(hypr, ['compose', 'config'], { cwd, env }));
      }
      const refusal = runs.find(({ code }) => code !== 0)?.stderr.split('\n')[0];
      reportRow({
        name: 'config-services',
        services,
        seconds: medianOf(runs.map((run) => run.seconds)),
        cpuSeconds: medianOf(runs.map((run) => run.cpu)),
        rssMib: medianOf(runs.map((run) => run.rss)),
        runs: RUNS,
        ...(refusal === undefined ? {} : { refusal }),
      });
    }
  });

/** `bench config`: ten services, hypr and docker compose (if there is one) turn by turn. */
export const benchConfig = (hypr: string): Promise<void> =>
  withRss(async (cwd) => {
    const reference = await findReference(process.env);
    await writeFile(join(cwd, 'compose.yaml'), makeServices(10));
    const [ours, theirs]: [number[], number[]] = [[], []];
    for (let run = 0; run <= SIDE_BY_SIDE; run++) {
      ours.push((await runOnce(hypr, ['compose', 'config'], { cwd })).seconds);
      if (reference !== undefined) {
        theirs.push((await runOnce(reference, ['config'], { cwd, env: { DOCKER_HOST: 'unix:///nonexistent' } })).seconds);
      }
    }
    // The first of each warms the disk's cache.
    const [hyprSeconds, composeSeconds] = [medianOf(ours.slice(1)), medianOf(theirs.slice(1))];
    const compared = reference === undefined ? {} : { composeSeconds, ratio: hyprSeconds / composeSeconds };
    reportRow({ name: 'config-10-services', hyprSeconds, ...compared, runs: SIDE_BY_SIDE });
  });

/** `bench hostile`: every hostile project, and whether the whole process kept to a second of processor time and 200 MiB (seconds on the clock depend on who else is there). */
export const benchHostile = (hypr: string): Promise<void> =>
  withRss(async (folder, env) => {
    for (const [index, [name, project]] of Object.entries(HOSTILE_PROJECTS).entries()) {
      const cwd = join(folder, `h${index}`);
      await mkdir(cwd);
      for (const [path, text] of Object.entries(project.files)) {
        await writeFile(join(cwd, path), text);
      }
      const { code, seconds, cpu, rss, stderr } = await runOnce(hypr, ['compose', 'config'], { cwd, env: { ...env, ...project.env } });
      const isAsExpected = project.code === undefined ? code === 0 : code !== 0 && !/ {4}at /.test(stderr);
      const ok = isAsExpected && cpu < MOST_SECONDS && rss < MOST_RSS;
      reportRow({ name: 'hostile', project: name, refused: code !== 0, seconds, cpuSeconds: cpu, rssMib: rss, ok });
    }
  });

/** A project like real ones: each service with ports, environment, volumes, a health check and a dependency. */
const makeServices = (count: number): string =>
  `services:\n${Array.from(
    { length: count },
    (_, i) => `  s${i}:
    image: example.com/app/s${i}:1.2
    environment: {PORT: '80', NAME: 's${i}', LEVEL: '\${LEVEL:-info}'}
    ports: ['127.0.0.1:${10_000 + i}:80']
    volumes: ['data${i % 10}:/data', './conf:/etc/app:ro']
    healthcheck: {test: [CMD, 'true'], interval: 10s}
    restart: unless-stopped
${i > 0 ? `    depends_on: [s${i - 1}]\n` : ''}`,
  ).join('')}volumes: {${Array.from({ length: 10 }, (_, i) => `data${i}: {}`).join(', ')}}\n`;
