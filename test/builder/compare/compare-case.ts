import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { explainDifference } from './declared.ts';
import type { BuildCase } from './generate.ts';
import { type ReadImage, readImage, run } from './read-image.ts';
import { writeContext } from './write-context.ts';

/** A builder: the program and its words before `build`. */
export interface Builder {
  readonly name: 'docker' | 'hypr';
  readonly program: string;
}

export interface Outcome {
  /** The error that it ended with, or the image. */
  readonly error?: string;
  readonly image?: ReadImage;
  /** Milliseconds of the build alone. */
  readonly ms: number;
}

export interface Comparison {
  readonly kind: 'same' | 'both-refuse' | 'declared' | 'different';
  /** One line for each difference: what, docker's value, hypr's. */
  readonly differences: readonly string[];
  /** Rows of declared.ts that explain some of them. */
  readonly declared: readonly string[];
  readonly outcomes: Readonly<Record<Builder['name'], Outcome>>;
}

/** Writes a case into a folder. */
export const writeCase = async (folder: string, one: BuildCase): Promise<void> => {
  await mkdir(folder, { recursive: true });
  await writeContext(folder, one.context);
  await writeFile(join(folder, 'Dockerfile'), one.dockerfile);
  if (one.ignore !== '') {
    await writeFile(join(folder, '.dockerignore'), one.ignore);
  }
};

/** Builds a case with both, one after the other, in the order given. */
export const compareCase = async (one: BuildCase, builders: readonly Builder[], scratch: string): Promise<Comparison> => {
  const folder = join(scratch, one.name);
  await writeCase(folder, one);
  const outcomes: Partial<Record<Builder['name'], Outcome>> = {};
  for (const builder of builders) {
    outcomes[builder.name] = await build(one, builder, { folder, scratch });
  }
  await rm(folder, { recursive: true, force: true });
  const { docker, hypr } = outcomes as Record<Builder['name'], Outcome>;
  const all = differencesOf(docker, hypr);
  const explained = all.map((difference) => explainDifference(difference, one));
  const differences = all.filter((_, index) => explained[index] === undefined);
  const declared = [...new Set(explained.filter((id) => id !== undefined))];
  const isBoth = docker.error !== undefined && hypr.error !== undefined;
  const kind = isBoth ? 'both-refuse' : differences.length > 0 ? 'different' : declared.length > 0 ? 'declared' : 'same';
  return { kind, differences, declared, outcomes: { docker, hypr } };
};

/** Seconds: steps may have been made by an earlier case. */
const RECENT = 30 * 86_400;

const build = async (
  one: BuildCase,
  { name, program }: Builder,
  { folder, scratch }: { folder: string; scratch: string },
): Promise<Outcome> => {
  const tag = `hypr-compare-${one.name}:${name}`;
  const since = Math.floor(Date.now() / 1000) - RECENT;
  const began = performance.now();
  try {
    await run(program, ['build', '-q', '-t', tag, ...one.args, '.'], { cwd: folder });
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error), ms: performance.now() - began };
  }
  const ms = performance.now() - began;
  const archive = join(scratch, `${one.name}-${name}.tar`);
  try {
    await run(program, ['save', '-o', archive, tag]);
    return { image: await readImage(archive, `${archive}.d`, since), ms };
  } catch (error) {
    return { error: `save: ${error instanceof Error ? error.message : String(error)}`, ms };
  } finally {
    await rm(archive, { force: true });
    await run(program, ['image', 'rm', tag]).catch(() => '');
  }
};

const differencesOf = (docker: Outcome, hypr: Outcome): string[] => {
  if (docker.image === undefined || hypr.image === undefined) {
    return docker.error === hypr.error ? [] : [`refusal: docker ${lastLine(docker.error)} | hypr ${lastLine(hypr.error)}`];
  }
  const [theirs, ours] = [docker.image, hypr.image];
  const paths = [...new Set([...theirs.files.keys(), ...ours.files.keys()])].sort();
  const keys = ['config', ...Object.keys({ ...theirs.config, ...ours.config }).filter((key) => key !== 'config')];
  const inner = (image: ReadImage) => (image.config.config ?? {}) as Record<string, unknown>;
  const innerKeys = [...new Set([...Object.keys(inner(theirs)), ...Object.keys(inner(ours))])].sort();
  const steps = Array.from({ length: Math.max(theirs.history.length, ours.history.length) }, (_, index) => index);
  return [
    ...paths.flatMap((path) => differ(`file ${path}`, theirs.files.get(path), ours.files.get(path))),
    ...keys.slice(1).flatMap((key) => differ(`image ${key}`, show(theirs.config[key]), show(ours.config[key]))),
    ...innerKeys.flatMap((key) => differ(`config ${key}`, show(inner(theirs)[key]), show(inner(ours)[key]))),
    ...steps.flatMap((step) => differ(`history ${step}`, theirs.history[step], ours.history[step])),
  ];
};

const differ = (what: string, theirs: string | undefined, ours: string | undefined): string[] =>
  theirs === ours ? [] : [`${what}: docker ${theirs ?? '–'} | hypr ${ours ?? '–'}`];

/** With the keys of a map in order. */
const show = (value: unknown): string | undefined =>
  JSON.stringify(value, (_, part: unknown) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );

const lastLine = (text: string | undefined): string => {
  const lines = text?.trim().split('\n') ?? ['builds'];
  const line = lines.find((each) => /^(ERROR|✗)/.test(each)) ?? lines.at(-1) ?? '';
  // The reason stands at the end, after the text of the step.
  return line.length > 400 ? `${line.slice(0, 200)}…${line.slice(-200)}` : line;
};
