import type { StageInstruction } from '../instruction.ts';
import { type CheckInput, type CheckRule, eachFrom, eachInstruction } from './types.ts';

/** Checks of base images, and of the comments that describe stages and arguments. */
export const baseRules: readonly CheckRule[] = [
  {
    name: 'InvalidBaseImagePlatform',
    summary: 'The base image is of the platform that is built',
    find: (input) =>
      eachFrom(input, (_from, stage) => {
        const base = input.basePlatform?.(stage);
        return base === undefined || base.found === base.expected
          ? undefined
          : `Base image ${base.name} was pulled with platform "${base.found}", expected "${base.expected}" for current build`;
      }),
  },
  {
    name: 'InvalidDefinitionDescription',
    summary: 'A comment right above a stage or argument describes it',
    experimental: true,
    find: (input) => findDescriptions(input),
  },
];

const findDescriptions = (input: CheckInput) => [
  ...input.dockerfile.globalArgs.flatMap((instruction) => {
    const message = judgeArg(instruction);
    return message === undefined ? [] : [{ message, line: instruction.range.line }];
  }),
  ...eachFrom(input, ({ name, comments }) => (name === undefined ? undefined : judge('FROM', [name], comments))),
  ...eachInstruction(input, judgeArg),
];

const judgeArg = (instruction: StageInstruction): string | undefined =>
  instruction.kind === 'arg'
    ? judge(
        'ARG',
        instruction.args.map(({ name }) => name),
        instruction.comments,
      )
    : undefined;

/** Only the line right above counts as a description. */
const judge = (keyword: string, names: readonly string[], comments: readonly string[]): string | undefined => {
  const [described] = comments.at(-1)?.split(' ') ?? [];
  if (described === undefined || described === '' || names.includes(described)) {
    return undefined;
  }
  const example = names.length === 1 ? names[0] : '<arg_key>';
  return `Comment for ${keyword} should follow the format: \`# ${example} <description>\`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.`;
};
