import { Random } from '../../support/random.ts';
import { randomNumbers } from '../../support/seed.ts';
import { fileInstruction, metadataInstruction, runInstruction } from './fragments.ts';
import { type ContextItem, generateContext } from './write-context.ts';

/** One comparison: a context, a Dockerfile, and the words between `build` and the context, which start from its folder. */
export interface BuildCase {
  readonly name: string;
  readonly context: readonly ContextItem[];
  readonly ignore: string;
  readonly dockerfile: string;
  readonly args: readonly string[];
}

export interface GenerateOptions {
  readonly seed: number;
  readonly index: number;
  /** An image that both engines have, with a shell and the usual programs. */
  readonly base: string;
  /** How many of a hundred instructions are RUNs: each takes a machine. */
  readonly runs: number;
}

/** A random build. The same seed and index give the same one. */
export const generateCase = ({ seed, index, base, runs }: GenerateOptions): BuildCase => {
  const random = new Random(Math.floor(randomNumbers(seed + index * 7919)() * 2 ** 31));
  const context = generateContext(random);
  const paths = context.flatMap(({ kind, path }) => (kind === 'file' && !/[*?[\\]/.test(path) ? [path] : []));
  const stages = random.pick([1, 1, 2, 3]);
  const lines = random.chance(0.4) ? ['ARG GLOBAL=from-global', 'ARG UNUSED'] : [];
  for (let stage = 0; stage < stages; stage++) {
    lines.push(...stageLines(random, { stage, base, runs, paths }));
  }
  const args = [
    ...(random.chance(0.3) ? ['--build-arg', `PLAIN=${random.pick(['given', '', 'with blank', '$x'])}`] : []),
    ...(random.chance(0.2) ? ['--label', 'from.cli=yes'] : []),
    ...(random.chance(0.1) ? ['--target', `s${random.below(stages)}`] : []),
    ...(random.chance(0.1) ? ['--build-arg', 'HTTP_PROXY=http://proxy.test:1'] : []),
  ];
  const needs = lines.join('\n');
  args.push(
    ...(/from=extra/.test(needs) ? ['--build-context', 'extra=e'] : []),
    ...(/id=given/.test(needs) ? ['--secret', 'id=given,src=Dockerfile'] : []),
  );
  return { name: `case-${seed}-${index}`, context, ignore: ignoreFile(random), dockerfile: `${lines.join('\n')}\n`, args };
};

interface StageChoices {
  readonly stage: number;
  readonly base: string;
  readonly runs: number;
  /** Of files of the context. */
  readonly paths: readonly string[];
}

const stageLines = (random: Random, { stage, base, runs, paths }: StageChoices): string[] => {
  const from = stage > 0 && random.chance(0.3) ? `s${random.below(stage)}` : random.chance(0.1) ? 'scratch' : base;
  const hasShell = from !== 'scratch';
  const lines = [`FROM ${from} AS s${stage}`];
  const count = 2 + random.below(7);
  for (let index = 0; index < count; index++) {
    const roll = random.below(100);
    if (hasShell && roll < runs) {
      lines.push(runInstruction(random, stage));
    } else if (roll < runs + (100 - runs) * 0.55) {
      lines.push(fileInstruction(random, stage, paths));
    } else {
      lines.push(metadataInstruction(random));
    }
  }
  return lines;
};

const ignoreFile = (random: Random): string =>
  random.chance(0.3) ? random.pick(['*.md\n', 'd\n!d/sub\n', '**/b\n', '# none\n\n', 'e*\n!e e\n', '.hidden\n*/*.go\n']) : '';
