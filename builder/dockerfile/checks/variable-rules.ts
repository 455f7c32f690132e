import type { Stage, StageInstruction } from '../instruction.ts';
import { didYouMean } from '../suggest.ts';
import { type CheckInput, type CheckRule, eachFrom, type Found } from './types.ts';
import { plainReferences } from './variables.ts';

const PLATFORM_ARGS = ['BUILD', 'TARGET'].flatMap((side) =>
  ['PLATFORM', 'OS', 'OSVERSION', 'ARCH', 'VARIANT'].map((part) => `${side}${part}`),
);

/** Checks for variables that are used but never set. */
export const variableRules: readonly CheckRule[] = [
  {
    name: 'UndefinedArgInFrom',
    summary: 'FROM uses only declared ARGs',
    find: (input) => {
      const { dockerfile } = input;
      const known = new Set([
        ...PLATFORM_ARGS,
        'TARGETSTAGE',
        ...dockerfile.globalArgs.flatMap(({ args }) => args.map(({ name }) => name)),
      ]);
      return eachFrom(input, ({ image, platform }) => {
        const words = [image, platform ?? ''].flatMap((word) => plainReferences(word, dockerfile.directives.escape));
        const name = words.find((word) => !known.has(word));
        return name === undefined ? undefined : `FROM argument '${name}' is not declared${didYouMean(name, known)}`;
      });
    },
  },
  { name: 'UndefinedVar', summary: 'Variables are defined before they are used', find: (input) => findUndefined(input) },
];

const findUndefined = (input: CheckInput): Found[] => {
  const { dockerfile } = input;
  // Stages built on this one inherit its variables.
  const left = new Map<string, ReadonlySet<string> | undefined>();
  const found: Found[] = [];
  for (const stage of dockerfile.stages) {
    const inherited = left.get(stage.from.image.toLowerCase());
    const start = left.has(stage.from.image.toLowerCase()) ? inherited : startOf(input, stage);
    const defined = start === undefined ? undefined : new Set(start);
    if (defined !== undefined) {
      found.push(...findInStage(stage, defined, dockerfile.directives.escape));
    }
    if (stage.from.name !== undefined) {
      left.set(stage.from.name, defined);
    }
  }
  return found;
};

const startOf = (input: CheckInput, stage: Stage): ReadonlySet<string> | undefined => {
  const known = stage.from.image === 'scratch' ? new Set<string>() : input.baseEnv?.(stage);
  return known === undefined ? undefined : new Set([...known, 'PATH']);
};

const findInStage = (stage: Stage, defined: Set<string>, escapeChar: string): Found[] => {
  const found: Found[] = [];
  for (const instruction of stage.instructions) {
    for (const name of new Set(wordsOf(instruction).flatMap((word) => plainReferences(word, escapeChar)))) {
      if (!defined.has(name)) {
        const hint = didYouMean(name, defined).replace('(did you mean ', '(did you mean $');
        found.push({ message: `Usage of undefined variable '$${name}'${hint}`, line: instruction.range.line });
      }
    }
    for (const name of definedBy(instruction)) {
      defined.add(name);
    }
  }
  return found;
};

const definedBy = (instruction: StageInstruction): string[] => {
  switch (instruction.kind) {
    case 'arg':
      return instruction.args.map(({ name }) => name);
    case 'env':
      return instruction.pairs.map(({ name }) => name);
    default:
      return [];
  }
};

/** The words of an instruction that the build expands; those of RUN, CMD and ENTRYPOINT are expanded by the shell. */
const wordsOf = (instruction: StageInstruction): string[] => {
  switch (instruction.kind) {
    case 'arg':
      return instruction.args.flatMap(({ value }) => value ?? []);
    case 'env':
    case 'label':
      return instruction.pairs.flatMap(({ name, value }) => [name, value]);
    case 'copy':
    case 'add':
      return [...instruction.sources, instruction.target, instruction.chown ?? '', instruction.chmod ?? ''];
    case 'expose':
    case 'volume':
      return [...instruction.values];
    case 'user':
    case 'workdir':
    case 'stopsignal':
      return [instruction.value];
    default:
      return [];
  }
};
